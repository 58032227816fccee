"""Image input: decode files, bytes and arrays into uint8 pixels."""

from tinysight.data.image_io.decoding import DecodeFailure as DecodeFailure
from tinysight.data.image_io.decoding import decode_crops as decode_crops
from tinysight.data.image_io.decoding import decode_images as decode_images
from tinysight.data.image_io.decoding import decode_in_chunks as decode_in_chunks
from tinysight.data.image_io.from_arrays import default_crops as default_crops
from tinysight.data.image_io.from_arrays import to_crops as to_crops
from tinysight.data.image_io.from_arrays import to_pixels as to_pixels
from tinysight.data.image_io.image_file import MAX_BYTES as MAX_BYTES
from tinysight.data.image_io.image_file import MAX_PIXELS as MAX_PIXELS
from tinysight.data.image_io.image_file import ImageFile as ImageFile
from tinysight.data.image_io.image_file import read_crops as read_crops
from tinysight.data.image_io.image_file import read_image as read_image
