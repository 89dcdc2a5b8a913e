"""Text -> tokens, as the server at hand cuts it.

Knows flavour, version and sql_mode. Executable comments are expanded in place exactly as that
server would. What two readings could cut differently is refused with its position, never guessed.

Sources: MySQL Reference Manual "Lexical Structure", "Comments", "Literal Values"; MariaDB Knowledge
Base "Comment Syntax"; behaviour of real servers.
"""

from __future__ import annotations

import re
from typing import NoReturn

from querykeep_engines.kit.lexing import Token, TokenKind
from querykeep_engines.mysql.syntax.modes import LexicalModes
from querykeep_engines.mysql.syntax.words import keyword
from querykeep_guard.sql.facts import StatementSyntaxError

_W = r"0-9A-Za-z$_\u0080-\uffff"
_MASTER = re.compile(
    rf"""
      (?P<space>[\ \t\n\r\v\f]+)
    | (?P<number>[0-9]+(?![{_W}.]))
    | (?P<word>[{_W}]+)
    | (?P<punct>[(),])
    | (?P<string>'[^'\\]*'(?!'))
    | (?P<quoted>`[^`\x00]+`(?!`))
    | (?P<cmp>[<>=!]+)
    | (?P<dot>\.)
    | (?P<quote>['"`])
    | (?P<comment>\#|/\*|--(?=[\ \t\n\r\v\f]|\Z))
    | (?P<at>@)
    | (?P<arrow>->>|->)
    | (?P<pipe>[|&]+)
    | (?P<assign>:=)
    | (?P<null>\\N)
    | (?P<plain>[-+*/%^~;?{{}}:])
    """,
    re.VERBOSE,
)
_COMPARISONS = frozenset({"<", ">", "=", "<=", ">=", "<>", "!=", "<=>", "<<", ">>", "!"})
_DIGITS = re.compile(r"[0-9]+\Z")
_FLOAT_WORD = re.compile(r"[0-9]+[eE][0-9]+\Z")
_FLOAT_START = re.compile(r"[0-9]+[eE](?:[0-9]|\Z)")
_HEX_WORD = re.compile(r"0x[0-9a-fA-F]+\Z")
_BIT_WORD = re.compile(r"0b[01]+\Z")
_RADIX_START = re.compile(r"0[xXbB]")
_FRACTION = re.compile(rf"\.([0-9]*)([eE][-+]?[0-9]+)?(?![{_W}.])")
_LEADING_POINT = re.compile(rf"\.[0-9]+([eE][-+]?[0-9]+)?(?![{_W}.])")
_VARIABLE = re.compile(rf"[{_W}.]+")
_WORD_CHARS = re.compile(rf"[{_W}]+")
_BAD = re.compile("[\ud800-\udfff]")
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_HINTED = frozenset({"SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE"})
_WORD, _STRING, _OPERATOR = TokenKind.WORD, TokenKind.STRING, TokenKind.OPERATOR
_NUMBER = TokenKind.NUMBER

MAX_TEXT_CHARS = 64 * 1024 * 1024
"""The longest text that is looked at, as the wire's own bound."""


class Lexer:
    """Cuts one text. ``run`` gives the tokens of each statement, in order."""

    def __init__(self, text: str, modes: LexicalModes) -> None:
        self._text = text
        self._modes = modes
        self._tokens: list[Token] = []
        self._statements: list[list[Token]] = []
        self._comment_start: int | None = None

    def run(self) -> list[list[Token]]:
        """Return the tokens of each statement; each list ends with an END token that stands on the
        semicolon or on the end of the text. Empty statements give a list of END alone, but an empty
        rest of the text gives none.

        Raises:
            StatementSyntaxError: The text cannot be cut with certainty.
        """
        text = self._text
        if len(text) > MAX_TEXT_CHARS:
            raise StatementSyntaxError(f"the text is longer than {MAX_TEXT_CHARS} characters", 0)
        if (bad := _BAD.search(text)) is not None:
            raise StatementSyntaxError("an invalid UTF-8 character in the text", bad.start())
        position, length = 0, len(text)
        match = _MASTER.match
        tokens = self._tokens
        tight = False
        while position < length:
            found = match(text, position)
            if found is None:
                self._refuse("a character that has no meaning here", position)
            kind = found.lastgroup
            end = found.end()
            if kind == "space":
                tight = False
                position = end
                continue
            if kind == "word":
                word = found.group()
                if "0" <= word[0] <= "9" or (end < length and text[end] in "'."):
                    position = self._word(word, position, tight)
                else:
                    tokens.append(Token(_WORD, keyword(word), word, position, tight))
                    position = end
            elif kind == "punct":
                mark = found.group()
                tokens.append(Token(_OPERATOR, mark, mark, position, tight))
                position = end
            elif kind == "number":
                raw = found.group()
                tokens.append(Token(_NUMBER, raw, raw, position, tight))
                position = end
            elif kind == "string":
                raw = found.group()
                tokens.append(Token(_STRING, raw[1:-1], raw, position, tight))
                position = end
            elif kind == "comment":
                position = self._comment(found.group(), position)
                tight = False
                continue
            else:
                position = self._other(str(kind), found.group(), position, tight)
            tight = True
            tokens = self._tokens
        if self._comment_start is not None:
            self._refuse("an executable comment is not closed", self._comment_start)
        if self._tokens or not self._statements:
            self._close(length)
        if self._modes.single_byte and not text.isascii():
            self._only_quotes_hold_bytes()
        return self._statements

    def _only_quotes_hold_bytes(self) -> None:
        for token in (token for statement in self._statements for token in statement):
            is_quoted = token.kind in (_STRING, TokenKind.QUOTED, TokenKind.HINT)
            if not is_quoted and not token.text.isascii():
                self._refuse(
                    "in a character set of single bytes only ASCII may stand outside of quotes",
                    token.start,
                )

    def _other(self, kind: str, raw: str, position: int, tight: bool) -> int:
        """Take what the fast path of ``run`` leaves over; return the position behind it."""
        end = position + len(raw)
        match kind:
            case "quoted":
                self._add_identifier(raw[1:-1], raw, position, tight)
            case "cmp":
                return self._comparison(raw, position, tight)
            case "dot":
                return self._dot(position, tight)
            case "quote":
                if raw == "`" or (raw == '"' and self._modes.ansi_quotes):
                    end, value = self._scan_quoted(position, escapes=False)
                    self._add_identifier(value, self._text[position:end], position, tight)
                    return end
                end, value = self._scan_string(position)
                self._add(_STRING, value, position, end, tight)
            case "at":
                return self._variable(position, tight)
            case "pipe":
                if len(raw) > 2 or (len(raw) == 2 and raw[0] != raw[1]):
                    self._refuse(f'"{raw}" can be read in more than one way', position)
                self._add(_OPERATOR, raw, position, end, tight)
            case "null":
                self._add(_WORD, "NULL", position, end, tight)
            case "plain":
                return self._plain(raw, position, tight)
            case _:
                self._add(_OPERATOR, raw, position, end, tight)
        return end

    def _plain(self, mark: str, position: int, tight: bool) -> int:
        text = self._text
        if mark == ";":
            if self._comment_start is not None:
                self._refuse("a semicolon inside an executable comment", position)
            self._close(position)
            return position + 1
        if mark == "*" and text.startswith("*/", position):
            if self._comment_start is None:
                self._refuse('"*/" without the start of a comment', position)
            self._comment_start = None
            return position + 2
        if mark == ":":
            self._refuse('":" has no meaning here', position)
        if mark == "?":
            self._add(TokenKind.PARAMETER, "?", position, position + 1, tight)
        else:
            if mark == "-" and text.startswith("--", position) and self._is_control(position + 2):
                self._refuse('"--" before a control character', position)
            self._add(_OPERATOR, mark, position, position + 1, tight)
        return position + 1

    def _is_control(self, position: int) -> bool:
        return position < len(self._text) and self._text[position] < " "

    def _word(self, word: str, position: int, tight: bool) -> int:
        """Take a word that starts with a digit, or that a quote or a point follows."""
        text, end = self._text, position + len(word)
        after_dot = (
            bool(self._tokens)
            and tight
            and self._tokens[-1].value == "."
            and (self._tokens[-1].kind is _OPERATOR)
        )
        if "0" <= word[0] <= "9" and not after_dot:
            return self._number(word, position, tight)
        if end < len(text) and text[end] == "'" and not after_dot:
            prefix = word.lower()
            if prefix in ("x", "b"):
                stop = text.find("'", end + 1)
                digits = text[end + 1 : stop] if stop > 0 else ""
                pattern = r"(?:[0-9a-fA-F]{2})*" if prefix == "x" else r"[01]*"
                if stop < 0 or re.fullmatch(pattern, digits) is None:
                    self._refuse(f"a malformed {prefix}'…' literal", position)
                kind = TokenKind.HEX if prefix == "x" else TokenKind.BIT
                self._add(kind, digits.lower(), position, stop + 1, tight)
                return stop + 1
            if prefix == "n":
                stop, value = self._scan_string(end)
                self._add(_STRING, value, position, stop, tight)
                return stop
        self._add(_WORD, keyword(word), position, end, tight)
        return end

    def _number(self, word: str, position: int, tight: bool) -> int:
        text, end = self._text, position + len(word)
        if _DIGITS.match(word):
            if end < len(text) and text[end] == ".":
                fraction = _FRACTION.match(text, end)
                if fraction is None:
                    self._refuse("a number runs into what follows it", position)
                end = fraction.end()
            self._add(TokenKind.NUMBER, text[position:end], position, end, tight)
            return end
        if _RADIX_START.match(word):
            is_hex, is_bit = _HEX_WORD.match(word), _BIT_WORD.match(word)
            if is_hex is None and is_bit is None:
                self._refuse(f'"{word[:40]}" is neither a number nor a plain name', position)
            kind = TokenKind.HEX if is_hex else TokenKind.BIT
            self._add(kind, word[2:].lower(), position, end, tight)
            return end
        if _FLOAT_START.match(word):
            if word[-1] in "eE" and _DIGITS.match(word[:-1]):
                exponent = re.compile(rf"[-+][0-9]+(?![{_W}.])").match(text, end)
                if exponent is None:
                    self._refuse("a number runs into what follows it", position)
                end = exponent.end()
            elif not _FLOAT_WORD.match(word) or (end < len(text) and text[end] == "."):
                self._refuse(f'"{word[:40]}" is neither a number nor a plain name', position)
            self._add(TokenKind.NUMBER, text[position:end], position, end, tight)
            return end
        self._add(_WORD, keyword(word), position, end, tight)
        return end

    def _dot(self, position: int, tight: bool) -> int:
        text = self._text
        previous = self._tokens[-1] if self._tokens else None
        after_name = previous is not None and previous.kind in (
            TokenKind.WORD,
            TokenKind.QUOTED,
            TokenKind.SYSTEM_VARIABLE,
        )
        following = text[position + 1 : position + 2]
        if following.isdigit():
            if after_name and tight:
                name = _WORD_CHARS.match(text, position + 1)
                if name is None or _DIGITS.match(name.group()) or _FLOAT_START.match(name.group()):
                    self._refuse("a name that looks like a number must be quoted", position)
                self._add(_OPERATOR, ".", position, position + 1, tight)
                return position + 1
            number = _LEADING_POINT.match(text, position)
            if (
                number is None
                or after_name
                or (tight and previous is not None and (previous.kind not in (_OPERATOR,)))
            ):
                self._refuse("a point that can be read in more than one way", position)
            self._add(TokenKind.NUMBER, number.group(), position, number.end(), tight)
            return number.end()
        self._add(_OPERATOR, ".", position, position + 1, tight)
        return position + 1

    def _comparison(self, raw: str, position: int, tight: bool) -> int:
        end = position + len(raw)
        if raw not in _COMPARISONS:
            head = raw[:-1]
            if raw[-1] != "!" or head not in ("=", "<", ">", "<=", ">=", "<>", "!=", "<=>"):
                self._refuse(f'"{raw}" can be read in more than one way', position)
            if not self._modes.is_mariadb:
                self._refuse(f'"{raw}" can be read in more than one way', position)
            self._add(_OPERATOR, head, position, end - 1, tight)
            self._add(_OPERATOR, "!", end - 1, end, True)
            return end
        self._add(_OPERATOR, raw, position, end, tight)
        return end

    def _variable(self, position: int, tight: bool) -> int:
        text = self._text
        if text.startswith("@@", position):
            name = _VARIABLE.match(text, position + 2)
            if name is None and text[position + 2 : position + 3] != "`":
                self._refuse('a name must follow "@@" at once', position)
            self._add(TokenKind.SYSTEM_VARIABLE, "@@", position, position + 2, tight)
            return position + 2
        following = text[position + 1 : position + 2]
        if following in ("'", '"', "`") and following:
            end, value = self._scan_quoted(position + 1, escapes=following != "`")
        else:
            name = _VARIABLE.match(text, position + 1)
            if name is None:
                self._refuse('a name must follow "@" at once', position)
            end, value = name.end(), name.group()
        if "\0" in value:
            self._refuse("a name may not hold a NUL", position)
        self._add(TokenKind.USER_VARIABLE, value, position, end, tight)
        return end

    def _scan_string(self, position: int) -> tuple[int, str]:
        return self._scan_quoted(position, escapes=not self._modes.no_backslash_escapes)

    def _scan_quoted(self, position: int, *, escapes: bool) -> tuple[int, str]:
        """Return (end, value) of what a quote at ``position`` opens; quotes inside are doubled."""
        text = self._text
        quote = text[position]
        escapes = escapes and not self._modes.no_backslash_escapes
        stops = re.compile(rf"[{quote}\\]" if escapes else quote)
        parts: list[str] = []
        at = position + 1
        while (stop := stops.search(text, at)) is not None:
            parts.append(text[at : stop.start()])
            at = stop.end()
            following = text[at : at + 1]
            if stop.group() == "\\":
                if not following:
                    break
                parts.append(
                    "\\" + following if following in "%_" else _ESCAPES.get(following, following)
                )
                at += 1
            elif following == quote:
                parts.append(quote)
                at += 1
            else:
                return at, "".join(parts)
        raise self._refusal("a quoted text is not closed", position)

    def _add_identifier(self, value: str, raw: str, position: int, tight: bool) -> None:
        if not value or value.endswith((" ", "\t")):
            self._refuse("an identifier may not be empty or end with a space", position)
        if "\0" in value:
            self._refuse("a name may not hold a NUL", position)
        if any(char > "\uffff" for char in value):
            self._refuse("an identifier may not hold a character outside the BMP", position)
        self._tokens.append(Token(TokenKind.QUOTED, value, raw, position, tight))

    def _comment(self, mark: str, position: int) -> int:
        text = self._text
        if mark != "/*":
            stop = text.find("\n", position)
            if self._comment_start is not None:
                self._refuse("a line comment inside an executable comment", position)
            end = len(text) if stop < 0 else stop + 1
            # The server ends a line comment at a NUL, too. Only a string may hold one.
            self._no_nul(position, end)
            return end
        if self._comment_start is not None:
            self._refuse("a comment inside an executable comment", position)
        body = position + 2
        if text.startswith("!", body) or (self._modes.is_mariadb and text.startswith("M!", body)):
            return self._executable_comment(position)
        stop = text.find("*/", body)
        if stop < 0:
            self._refuse("a comment is not closed", position)
        if text.find("/*", body, stop) >= 0:
            self._refuse("a comment inside a comment", position)
        self._no_nul(body, stop)
        if text.startswith("+", body) and self._tokens:
            last = self._tokens[-1]
            if last.kind is _WORD and last.value in _HINTED:
                hint = text[position : stop + 2]
                self._tokens.append(Token(TokenKind.HINT, hint, hint, position, False))
        return stop + 2

    def _no_nul(self, start: int, end: int) -> None:
        at = self._text.find("\0", start, end)
        if at >= 0:
            self._refuse("a NUL inside a comment", at)

    def _executable_comment(self, position: int) -> int:
        """Go into an executable comment or past it, as this server's version says."""
        text, modes = self._text, self._modes
        is_maria_only = text.startswith("/*M!", position)
        at = position + (4 if is_maria_only else 3)
        digits = re.compile(r"[0-9]*").match(text, at)
        count = len(digits.group()) if digits is not None else 0
        runs = True
        if count in (5, 6):
            if count == 6 and not modes.is_mariadb and not text[at + 6 : at + 7].isspace():
                self._refuse("the version of an executable comment is ambiguous", position)
            version = int(text[at : at + count])
            runs = version <= modes.version_id
            if modes.is_mariadb and not is_maria_only and 50700 <= version <= 99999:
                runs = False
            if count == 6 and not modes.is_mariadb and modes.version < (8, 1, 0):
                self._refuse("the version of an executable comment is ambiguous", position)
            at += count
        elif count:
            self._refuse("the version of an executable comment is ambiguous", position)
        if runs:
            self._comment_start = position
            return at
        stop = text.find("*/", at)
        if stop < 0:
            self._refuse("a comment is not closed", position)
        if text.find("/*", at, stop) >= 0:
            self._refuse("a comment inside an executable comment", position)
        self._no_nul(at, stop)
        return stop + 2

    def _close(self, position: int) -> None:
        self._tokens.append(Token(TokenKind.END, "", "", position, False))
        self._statements.append(self._tokens)
        self._tokens = []

    def _add(self, kind: TokenKind, value: str, start: int, end: int, tight: bool) -> None:
        self._tokens.append(Token(kind, value, self._text[start:end], start, tight))

    def _refuse(self, why: str, position: int) -> NoReturn:
        raise self._refusal(why, position)

    @staticmethod
    def _refusal(why: str, position: int) -> StatementSyntaxError:
        return StatementSyntaxError(f"the text cannot be read with certainty: {why}", position)


def tokenize(text: str, modes: LexicalModes) -> list[list[Token]]:
    """Return the tokens of each statement of a text; see ``Lexer.run``."""
    return Lexer(text, modes).run()
