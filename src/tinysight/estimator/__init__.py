"""A classifier as scikit-learn knows them: fitted to arrays, asked about arrays."""
