"""Current wording for older rows of benchmarks/results, whose files are never edited."""

from __future__ import annotations

import re
from typing import Any

# (pattern, replacement), applied in order to the texts of a row before it is shown.
_REPLACEMENTS = [
    (r"` answers in under", "` takes under"),
    (
        r"images a second from the file, 90 % of those in memory or more",
        "images/s from disk (target: 90 % of in-memory)",
    ),
    (r"images a second in (training|prediction)", r"\1, images/s"),
    (r"images a second: ", "augmentation, images/s: "),
    (r"images a second, ", "prediction, images/s, "),
    (r"milliseconds for one image in process", "latency of one image in process, ms"),
    (r"milliseconds for one image beside onnxruntime", "latency of one image compared with onnxruntime, ms"),
    (
        r"(`fast-\d\d` on [\d,]+) pictures by Ray: two workers beside one, images/s \(wanted: 1.8 times\)",
        r"\1 images with Ray: two workers compared with one, images/s (target: 1.8x)",
    ),
    (
        r"the same by two processes without Ray, beside Ray's two, images/s; all ([\d,]+) rows the same",
        r"the same with two local processes compared with two Ray workers, images/s; all \1 rows identical",
    ),
    (r"after each quarter of the pictures", "after each quarter of the images"),
    (
        r"killed half-way through ([\d,]+) pictures: every row there once, and the same",
        r"killed halfway through \1 images: all rows present once and identical",
    ),
    (r"a machine of the cluster killed", "a cluster node killed"),
    (
        r"pictures of 32x32 \(PNG\) decoded into the cache, killed half-way and gone on with",
        "PNG files of 32x32 decoded into the cache; killed halfway and resumed",
    ),
    (
        r"images a second before, ([\d,]+) of ([\d,]+) kept, ([\d,]+) a second after; peak memory ([\d.]+ GB); "
        r"opened again in ([\d.]+ s)",
        r"images/s before the kill, \1 of \2 images kept, \3 images/s after; peak memory \4; reopened in \5",
    ),
    (r"peak memory of the process in GB, from the file under 2", "peak memory in GB (target: under 2 from disk)"),
    (r"shuffled in windows, as well as shuffled as a whole", "shuffled in windows compared with a full shuffle"),
    (r"as a whole 0", "full shuffle 0"),
    (r", seed by seed", " (paired by seed)"),
    (r"in under ([\d.]+) of unpickling and transposing", r"in under \1 times the time to unpickle and transpose"),
    (r"as keras.datasets does: ", "steps of keras.datasets: "),
    (
        r"after a minute, a folder of (\d+) classes of (\w+) pictures",
        r"after one minute, a folder of \1 classes of \2 images",
    ),
    (r"after a minute, ", "after one minute, "),
    (r"^photographs (.*): the share told right; the mean loss, nats", r"large images, \1: accuracy; mean loss in nats"),
    (r"(\d+) photographs, ", r"\1 images, "),
    (r"cut to the centre", "center crop"),
    (r"padded with its mean colour", "padded with the mean color"),
    (r"squashed", "stretched"),
    (r"three cuts, and closer at each", "three crops, and a tighter crop at each"),
    (r"three cuts", "three crops"),
    (r"cut, and closer", "center crop and a tighter crop"),
    (r"cut and stretched", "center crop and stretched"),
    (
        r"after the first; ([\d.]+ s) in all, ([\d.]+ s) for one",
        r"images/s after the first image; \1 in total, \2 for one image",
    ),
    (r"decoding alone: ", "decoding only: "),
    (r"of decoding's speed", "of the decoding speed"),
    (
        r"seconds to the accuracy of the notebook's augmented `deep`, ",
        "seconds to the accuracy of the notebook's `deep` with augmentation, ",
    ),
    (r"no more than ([\d.]+) in", r"at most \1 in"),
    (
        r"pictures a second with (\d+) clients, against the bare network in",
        r"images/s with \1 clients, compared with the network alone in",
    ),
    (r"p99 at half that load, ms", "p99 latency at half that load, ms"),
    (r"640 clients at once, by status", "640 concurrent clients, responses by status"),
    (r"two seconds later, of the pictures/s before", "throughput two seconds later, relative to before the overload"),
    (r"200, 429, 503 alone", "only 200, 429 and 503"),
    (r"as before", "1.0"),
    (
        r"calibration error; answered where it is not unsure, wrong among these",
        "calibration error; coverage and error rate above the unsure threshold",
    ),
    (r": corrupted images$", ": corruption robustness"),
    (
        r"([\d.]+%) are told right, and ([\d.]+%) of the same ([\d,]+) as they are; worst is (.*) with ([\d.]+%)",
        r"mean accuracy \1 corrupted vs \2 clean (n = \3); worst: \4, \5",
    ),
    (r": strange images$", ": out-of-distribution detection"),
    (r"told from its own with an AUROC of (.*) \(1 is always, 0.5 is blind\)", r"AUROC \1 (0.5 is chance)"),
    (r": twins$", ": near-duplicates"),
    (
        r"([\d,]+ of [\d,]+) test images have one among the others; without these ([\d.]+%) are told right, with them "
        r"([\d.]+%)",
        r"\1 test images have a near-duplicate; accuracy \2 without them, \3 with them",
    ),
    (r": slices$", ": subgroups"),
    (
        r"of (.*) low, (\w+) is missed in ([\d.]+%) \(all others ([\d.]+%)\) and (\d+) more, of (\d+) looked at",
        r"\2 with low \1: false negative rate \3 (others \4); \5 more of \6 subgroups",
    ),
    (r": groups$", ": groups from a file"),
    (r"not measured: name a file by --groups", "not measured; pass a file with --groups"),
    (r": labels$", ": label errors"),
    (
        r"([\d,]+) of ([\d,]+) are likely to be wrong, ([\d,]+) of them of test images \(by (\d) shadow models\)",
        r"\1 of \2 labels are likely wrong, \3 of them in the test split (\4 shadow models)",
    ),
    (r": privacy$", ": membership inference"),
    (
        r"An outsider who may ask .* ([\d.]+%) of the time \((.*); guessing would be 50 %\)\. .* finds ([\d.]+%) "
        r"of the images that it learned from\.",
        r"AUC \1 (\2; chance is 50 %); TPR \3 at 0.1% FPR",
    ),
    (r"membership by class-wise loss", "membership inference, class-wise loss"),
    (r"membership by loss$", "membership inference, loss"),
    (r"membership by LiRA", "membership inference, LiRA"),
    (r"class-wise loss", "class-wise loss"),
    (
        r"AUC ([\d.]+ \([\d. to]+\)); ([\d.]+) at ([\d.]+%), ([\d.]+) at ([\d.]+%)",
        r"AUC \1; TPR \2 at FPR \3, \4 at \5",
    ),
    (r"near-twins in", "near-duplicates in"),
    (r"of the test images have a twin in train", "of the test images have a near-duplicate in train"),
    (r"3.3 % by hand", "3.3 % found manually"),
    (r"planted twins among", "injected near-duplicates among"),
    (
        r"wrong labels, (\d+%) planted in CIFAR-10's training images",
        r"label errors, \1 injected into CIFAR-10's train split",
    ),
    (r"alarms of a planted unfairness, and of none", "subgroup gaps found: with an injected bias; without"),
    (r"accuracy before and after forgetting (\d+) images", r"accuracy before and after unlearning \1 images"),
    (r"; by chance ([\d.]+), McNemar", r"; McNemar p = \1"),
    (r"mean certainty of the true class, before and after", "mean probability of the true class, before and after"),
    (r"never seen ", "unseen "),
    (
        r"heat maps on `shapes`, (.*): hottest point on the shape; rank correlation, random weights",
        r"occlusion maps on `shapes`, \1: maximum on the shape; rank correlation with random weights",
    ),
    (r"\.90 at least; below \.30", "at least .90; below .30"),
    (
        r"membership: AUC on a network over-trained on ([\d,]+) images, and on images that it never saw",
        r"membership inference, AUC: network overfitted on \1 images; images not used in training",
    ),
    (
        r"validation accuracy with fresh seeds, as it was and tuned",
        "validation accuracy with new seeds, original and tuned",
    ),
    (r"two processes, one killed half-way", "two processes, one killed halfway"),
    (
        r"(\d+) twice\) and (\d+) with fresh seeds, over after ([\d.]+ s)",
        r"\1 duplicates) and \2 with new seeds, finished after \3",
    ),
    (
        r"largest difference of two workers' loss from one's over (\d+) steps, float32, one thread each",
        r"maximum difference in loss between two workers and one, \1 steps, float32, one thread each",
    ),
    (
        r"a worker of two killed at a moment left to chance: runs that ended by themselves, bit for bit as undisturbed",
        "one of two workers killed at a random time: runs that recover and are bit-identical",
    ),
    (r"ended by themselves: ", "recovered: "),
    (r"wanted: \.05 wrong", "target: error rate .05"),
    (r"wanted: ", "target: "),
    (r"([\d.]+) workers that wait ([\d.]+ s) a unit", r"\1 workers, \2 per shard"),
    (r"the driver alone: units that take no time", "driver only: shards that take no time"),
    (r"all of it: ", "complete pipeline: "),
    (r"a file each", "one file per image"),
]
_TEXTS = ("claim", "ours", "peer", "ratio", "n")


def reword(row: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `row` with its texts in the current wording."""
    return row | {key: reword_text(row[key]) for key in _TEXTS if isinstance(row.get(key), str)}


def reword_text(text: str) -> str:
    """Return `text` in the current wording."""
    for pattern, replacement in _REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    return text
