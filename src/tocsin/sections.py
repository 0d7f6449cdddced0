"""What the files that people write have in common: tables that refuse unknown keys, problems that say where they are.

Pydantic stands here and in the schemas, and nowhere further in.
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from tocsin.domain.errors import ConfigurationInvalid
from tocsin.domain.hashes import account_of, script_hash

FILE_BYTES_MAX = 1 << 20


def _checked_hash(text: str) -> str:
    return script_hash(text)


def _checked_account(text: str) -> str:
    return account_of(text)


type ContractHash = Annotated[str, AfterValidator(_checked_hash)]
type Account = Annotated[str, AfterValidator(_checked_account)]


class Section(BaseModel):
    """A table of a file: unknown keys are refused, values can't be changed."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


def read_table(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        ConfigurationInvalid: it can't be read, is too large, or is no TOML; with the place.
    """
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, error) from error


def read_section[S: Section](path: Path, schema: type[S], what: str) -> S:
    """The content of a TOML file (or, where its name ends so, a JSON file) in its schema; `what` it is, for people.

    Raises:
        ConfigurationInvalid: it can't be read, or breaks the schema; every problem is named.
    """
    try:
        if path.suffix == ".json":
            return schema.model_validate_json(_text(path))
        return schema.model_validate(read_table(path))
    except ValidationError as error:
        raise invalid(path, what, problems_in(error, schema)) from error


def invalid(path: Path, what: str, problems: Sequence[str]) -> ConfigurationInvalid:
    """The error for a file with these problems."""
    return ConfigurationInvalid(
        "file-invalid",
        f"{path} is no valid {what}: {'; '.join(problems)}",
        next_step="mend the file",
        data={"file": str(path), "problems": list(problems)},
    )


def problems_in(error: ValidationError, schema: type[BaseModel]) -> list[str]:
    """What is wrong, where, and what was perhaps meant."""
    return [_problem(item, schema) for item in error.errors(include_url=False, include_input=False)]


def suggestion(name: str, known: Collection[str]) -> str:
    """The nearest known name, as words to append; nothing where none is near."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ConfigurationInvalid("configuration-too-large", f"{path} has more than {FILE_BYTES_MAX} bytes")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ConfigurationInvalid:
    return ConfigurationInvalid("configuration-unreadable", f"{path} can't be read: {error}", next_step="mend the file")


def _problem(item: Mapping[str, Any], schema: type[BaseModel]) -> str:
    location = [str(part) for part in item["loc"]]
    where = ".".join(location)
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown key{suggestion(location[-1], _known_keys(location[:-1], schema))}"
    return f"{where}: {item['msg']}"


def _known_keys(path: Sequence[str], schema: type[BaseModel]) -> list[str]:
    """The keys that the schema allows in the table at `path`; entries of arrays and tables count as a step."""
    annotation: Any = schema
    for part in path:
        if get_origin(annotation) in (tuple, dict):
            annotation = next(filter(_is_section, get_args(annotation)), None)
        elif _is_section(annotation) and part in annotation.model_fields:
            annotation = annotation.model_fields[part].annotation
            if get_origin(annotation) is UnionType:  # a section that may be absent
                annotation = next(filter(_is_section, get_args(annotation)), None)
        else:
            return []
    return list(annotation.model_fields) if _is_section(annotation) else []


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
