"""Image input: decode files, bytes and arrays into uint8 pixels."""

from tinysight.data.intake.decoding import Failure as Failure
from tinysight.data.intake.decoding import decode as decode
from tinysight.data.intake.decoding import decode_in_chunks as decode_in_chunks
from tinysight.data.intake.decoding import decode_looks as decode_looks
from tinysight.data.intake.memory import looks_for as looks_for
from tinysight.data.intake.memory import to_looks as to_looks
from tinysight.data.intake.memory import to_pixels as to_pixels
from tinysight.data.intake.reading import MAX_BYTES as MAX_BYTES
from tinysight.data.intake.reading import MAX_PIXELS as MAX_PIXELS
from tinysight.data.intake.reading import Opened as Opened
from tinysight.data.intake.reading import read_image as read_image
from tinysight.data.intake.reading import read_looks as read_looks
