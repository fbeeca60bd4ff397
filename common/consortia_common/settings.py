"""Configuration: one TOML file per process, ``CONSORTIA_<PART>__<KEY>`` over it, and nothing that is not known.

An unknown key, in the file or in the environment, is refused by file and key, because a mistyped setting that is
silently ignored is a security setting that is silently off. Relative paths start at the file's own folder.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from consortia_common import errors, keyfiles

_here: ContextVar[Path] = ContextVar("_here")

Address = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")]
"""HOST:PORT, an IPv6 host in brackets."""
NetworkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
LocalPath = Annotated[Path, AfterValidator(lambda path: _here.get() / path)]
"""A path that is absolute, or relative to the folder of the file that names it."""


class Table(BaseModel):
    """A table within a settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(BaseSettings):
    """What a process is told from outside. Subclasses set ``PART`` and the fields."""

    PART: ClassVar[str]
    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, case_sensitive=False
    )

    folder: Annotated[LocalPath, Field(description="Where keys, database and logs lie.")] = Path()
    log_file: Annotated[
        LocalPath | None, Field(description="Where the process log goes; without it, to standard error.")
    ] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The part's own environment variables go over the file; there is no third source."""
        del env_settings, dotenv_settings, file_secret_settings
        environment = EnvSettingsSource(
            settings_cls, env_prefix=cls.prefix(), env_nested_delimiter="__", env_ignore_empty=True
        )
        return environment, init_settings

    @classmethod
    def load(cls, path: Path, defaults: Mapping[str, Any] | None = None) -> Self:
        """The settings in the TOML file ``path`` over ``defaults``. Raises SettingsError."""
        values = dict(defaults or {}) | read_toml(path)
        cls._check_environment(os.environ)
        try:
            with _paths_from(path.absolute().parent):
                return cls(**values)
        except (ValidationError, SettingsError) as error:
            raise _refuse(path, _mistakes(cls, error)) from error

    @classmethod
    def prefix(cls) -> str:
        """What the names of this part's environment variables begin with."""
        return f"CONSORTIA_{cls.PART}__"

    @classmethod
    def _check_environment(cls, environment: Mapping[str, str]) -> None:
        given = [name for name in environment if name.upper().startswith(cls.prefix())]
        for name in given:
            key = name[len(cls.prefix()) :].split("__")[0].lower()
            if key not in cls.model_fields:
                raise _refuse(Path(name), [_unknown(key, list(cls.model_fields))], "the environment")


def read_toml(path: Path) -> dict[str, Any]:
    """The values in a TOML file. Raises SettingsError."""
    try:
        return tomllib.loads(keyfiles.read_file(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refuse(path, [f"it is not TOML: {str(error)[:200]}"]) from error


T = TypeVar("T", bound=Table)


def load_table(model: type[T], path: Path) -> T:
    """The table that the TOML file ``path`` holds as a whole. Raises SettingsError."""
    values = read_toml(path)
    try:
        with _paths_from(path.absolute().parent):
            return model.model_validate(values)
    except ValidationError as error:
        raise _refuse(path, _mistakes(model, error)) from error


@contextmanager
def _paths_from(folder: Path) -> Iterator[None]:
    token = _here.set(folder)
    try:
        yield
    finally:
        _here.reset(token)


def _mistakes(model: type[BaseModel], error: ValidationError | SettingsError) -> list[str]:
    if isinstance(error, SettingsError):
        return ["an environment variable can't be read: lists and tables are written as JSON"]
    return [_explain(model, item) for item in error.errors()][:10]


def _explain(model: type[BaseModel], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return _unknown(key, _known_keys(model))
    if item["type"] == "missing":
        return f"{key} is required"
    return f"{key}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key.rpartition(".")[2], known, 1)
    return f"there is no setting {key}" + (f"; did you mean {near[0]}?" if near else "")


def _known_keys(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema()
    tables = [schema, *schema.get("$defs", {}).values()]
    return [key for table in tables for key in table.get("properties", {})]


def _refuse(path: Path, mistakes: list[str], blame: str = "") -> errors.SettingsError:
    return errors.SettingsError(
        f"{path}: " + "; ".join(re.sub(r"\s+", " ", mistake) for mistake in mistakes),
        blame=blame or f"whoever wrote {path.name}",
        remedy="correct it and start again; the sample that `init` writes explains every setting",
    )
