"""Text as a task: guess the next character, in the sample or in the reader's own text.

    x = c_i .. c_{i+T-1},  y = c_{i+1} .. c_{i+T}        windows of the training part, both (batch, T)

The first 85 % of a text are for training, the rest is held out: no window of one reaches into the
other. The alphabet is that of the whole text, as an alphabet is known before a text is read.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from seqcore.models.counts import entropy
from seqcore.tasks import Batch, Task, at_least

SHORTEST = 50  # characters: of fewer, too few words are held out to measure anything
LONGEST = 100_000  # characters: counting all contexts of up to eight of them takes about a second
ALPHABET = 128  # symbols told apart
RARE = 0.05  # the share of a text that may consist of characters too rare to be told apart
CONTROL = 0.01  # the share of control characters up to which a file passes for a text
TRAINING = 0.85  # the share of a text that is for training
OTHER = "\N{WHITE SQUARE}"  # stands for every character too rare to be told apart
PAD = "\N{EMPTY SET}"  # fills rows up to the longest
SPACE = "\N{OPEN BOX}"  # stands for a space where one has to be seen

ENDS = re.compile(r"(?<=[.,;:!?])\s+")


class Text(Task):
    """Windows of `length` characters and, after each character, the next one.

    text    the text, as it is; `read` makes one from a file
    length  T, characters in a window
    window  characters a model must have seen before it answers: answers begin at step `window`
    x (batch, length) symbols, y (batch, length - window + 1) symbols.

    vocabulary  the alphabet, sorted
    train, held_out   the two parts of the text, each a Batch of one long row
    baseline    the entropy of single characters in the training part: the cost of knowing their frequencies
    floor       unknown for a natural text; 0 only says that no loss is below it

    Raises ValueError for a text outside the limits of `within_limits`, length < window or < 1, or parts too
    short for a window and the character after it.
    """

    def __init__(self, text: str, length: int, window: int = 1):
        self.vocabulary = tuple(sorted(set(within_limits(text))))
        self._index = {character: v for v, character in enumerate(self.vocabulary)}
        self.inputs = self.outputs = len(self.vocabulary)
        self.length = at_least("length", length, at_least("window", window, 1))
        self.at = slice(window - 1, None)
        train, held_out = split(text)
        for name, part, needed in [("training", train, length), ("held-out", held_out, window)]:
            if len(part) <= needed:
                raise ValueError(f"the {name} part of the text has {len(part)} characters, not more than {needed}")
        self._windows = self.encode(train).unfold(0, length + 1, 1)
        self.train, self.held_out = (self._batch(self.encode(part)[None]) for part in (train, held_out))
        self.baseline = unigram_entropy(self.encode(train))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return self._batch(self._windows[torch.randint(len(self._windows), (size,), generator=generator)])

    def _batch(self, rows: Tensor) -> Batch:
        return Batch(rows[:, :-1], rows[:, 1:][:, self.at])

    def encode(self, text: str) -> Tensor:
        """(characters,) symbols. Raises ValueError naming the first character that is not in the alphabet."""
        for character in text:
            if character not in self._index:
                raise ValueError(f"{character!r} is not one of the {len(self.vocabulary)} characters of the alphabet")
        return torch.tensor([self._index[character] for character in text], dtype=torch.long)

    def decode(self, symbols: Iterable[int]) -> str:
        """The characters of some symbols: the way back."""
        return "".join(self.vocabulary[symbol] for symbol in symbols)


class Phrases(Task):
    """Whole phrases, so rows of different lengths: after each character the next one, up to the phrase's end.

    text     any text; a phrase ends with one of . , ; : ! ?
    longest  characters that are kept of a longer phrase
    x, y (batch, T) symbols, T that of the longest row drawn; after a row's length both hold the padding
    symbol, the last of the vocabulary. Loss and score leave padding out. (`Task.loss` counts it, and so
    pays a model for predicting padding.)

    Raises ValueError for longest < 2, or a text without a phrase of two characters.
    """

    def __init__(self, text: str, longest: int = 60):
        at_least("longest", longest, 2)
        self.phrases = tuple(phrase[:longest] for phrase in ENDS.split(text.strip()) if len(phrase) > 1)
        if not self.phrases:
            raise ValueError("text has no phrase of at least 2 characters")
        letters = sorted(set("".join(self.phrases)))
        self.vocabulary = (*letters, PAD)
        self.inputs = self.outputs = len(self.vocabulary)
        self.pad = len(letters)
        index = {character: v for v, character in enumerate(letters)}
        self._rows = [torch.tensor([index[character] for character in phrase]) for phrase in self.phrases]
        self.baseline = unigram_entropy(torch.cat([row[1:] for row in self._rows]))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        drawn = torch.randint(len(self._rows), (size,), generator=generator).tolist()
        rows = pad_sequence([self._rows[i] for i in drawn], batch_first=True, padding_value=self.pad)
        # a row is read up to its last character but one: the last is only an answer
        x = rows[:, :-1].masked_fill(rows[:, 1:] == self.pad, self.pad)
        return Batch(x, rows[:, 1:], torch.tensor([len(self._rows[i]) - 1 for i in drawn]))

    def mask(self, batch: Batch) -> Tensor:
        """(batch, T) truths: which steps are characters, not padding."""
        assert batch.lengths is not None, "a batch of this task has lengths"
        return torch.arange(batch.x.shape[1]) < batch.lengths[:, None]

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, -2), batch.y.flatten(), ignore_index=self.pad)

    def score(self, outputs: Tensor, batch: Batch) -> float:
        return float((outputs.argmax(-1) == batch.y)[self.mask(batch)].float().mean())


def split(text: str) -> tuple[str, str]:
    """The training part and the held-out part: one after the other, sharing nothing."""
    n = int(len(text) * TRAINING)
    return text[:n], text[n:]


def unigram_entropy(symbols: Tensor) -> float:
    """The entropy of the frequencies of symbols, in nats: what a symbol costs to whoever knows nothing else."""
    counts = symbols.bincount().double()
    return float(entropy((counts / counts.sum()).numpy()))


def read(raw: bytes | str, longest: int = LONGEST) -> str:
    """A reader's text, made fit: decoded, in composed characters, every run of white space one space.

    Control characters are dropped. Of an alphabet above ALPHABET the rarest characters become OTHER.
    Raises ValueError naming the limit for a text outside SHORTEST to LONGEST characters, or longer than `longest`; for
    more than CONTROL control characters (no text at all); or where more than RARE of it would become OTHER.
    """
    text = decode(raw)
    if len(text) > LONGEST:
        raise ValueError(f"text has length {len(text):,}, more than {LONGEST:,} characters")
    text = " ".join(unicodedata.normalize("NFC", text).split())
    kinds = [unicodedata.category(character) for character in text]
    # Cf, which shape a word unseen, is no sign of anything wrong
    control = sum(kind in ("Cc", "Cs", "Co", "Cn") for kind in kinds)
    if control > CONTROL * len(text):
        raise ValueError(
            f"text is {control / len(text):.0%} control characters, more than {CONTROL:.0%}: is it a text?"
        )
    text = "".join(character for character, kind in zip(text, kinds) if not kind.startswith("C"))
    if len(text) > longest:
        raise ValueError(f"text has length {len(text):,}, more than {longest:,} characters")
    return within_limits(_common(text))


def readable(sentence: str, alphabet: Iterable[str]) -> str:
    """What of a sentence consists of the alphabet's characters, capitals as small letters where only these are there."""
    known = set(alphabet)
    letters = (character if character in known else character.lower() for character in sentence)
    return "".join(character for character in letters if character in known)


def visible(text: str) -> str:
    """The text with its spaces as SPACE."""
    return text.replace(" ", SPACE)


def within_limits(text: str) -> str:
    """The text, if it has SHORTEST to LONGEST characters, of at most ALPHABET kinds; ValueError otherwise."""
    if not SHORTEST <= len(text) <= LONGEST:
        raise ValueError(f"text has length {len(text):,}, not from {SHORTEST} to {LONGEST:,} characters")
    if (kinds := len(set(text))) > ALPHABET:
        raise ValueError(f"text has {kinds:,} different characters, more than {ALPHABET}")
    return text


def _common(text: str) -> str:
    """The text with the rarest characters as OTHER, where there are more than ALPHABET kinds."""
    counts = Counter(text)
    if len(counts) <= ALPHABET:
        return text
    kept = {character for character, _ in counts.most_common(ALPHABET - 1)}
    share = sum(n for character, n in counts.items() if character not in kept) / len(text)
    if share > RARE:
        raise ValueError(
            f"text has {len(counts):,} different characters, more than {ALPHABET}, and {share:.0%} of it "
            f"are the rarer ones, more than the {RARE:.0%} that could be left out"
        )
    return "".join(character if character in kept else OTHER for character in text)


def decode(raw: bytes | str) -> str:
    """Bytes as text: UTF-16 where they begin with its mark, else UTF-8, else Latin-1, which fits everything."""
    if isinstance(raw, str):
        return raw
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
