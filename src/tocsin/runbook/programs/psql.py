"""`psql` command lines: a query, or the restore of a dump.

A query is an action only if it looks as if it reads; the action itself still runs it in a read-only transaction.
"""

import re
from collections.abc import Sequence

from tocsin.runbook.programs.options import Grammar, NotRecognised, Recognised, each, parse, present

_GRAMMAR = Grammar(
    valued={
        **each("host", "-h", "--host"),
        **each("port", "-p", "--port"),
        **each("user", "-U", "--username"),
        **each("database", "-d", "--dbname"),
        **each("sql", "-c", "--command"),
        **each("file", "-f", "--file"),
    },
    flags={
        **each("display", "-t", "--tuples-only", "-A", "--no-align", "-q", "--quiet", "-x", "--expanded"),
        **each("settings", "-X", "--no-psqlrc", "-w", "--no-password"),
    },
    refused=each("it asks for a password", "-W", "--password"),
)
_READS = re.compile(r"\s*(?:select|show|table|values|explain)\b", re.IGNORECASE)
_CHANGES = re.compile(
    r"\b(?:insert|update|delete|merge|truncate|drop|alter|create|grant|revoke|copy|call|do|into|vacuum|reindex|cluster"
    r"|refresh|lock|set|reset|analyze|nextval|setval|set_config|lo_\w+|dblink\w*"
    r"|pg_(?:terminate|cancel|reload|rotate|switch|promote|create|drop|copy|advisory|try_advisory|start|stop|backup|wal"
    r"|logical|replication|export|import|log|read|ls|stat_reset|stat_clear|file|sleep|notify)\w*)\b",
    re.IGNORECASE | re.ASCII,
)


def recognise(words: Sequence[str], stdin: str | None) -> Recognised:
    """The action of the words after `psql`, with the file after `<`.

    Raises:
        NotRecognised: see its message.
    """
    parsed = parse(words, _GRAMMAR)
    named = [*parsed.words, *parsed.after_separator]
    if len(named) > 2 or (named and parsed.one("database")):
        raise NotRecognised("it names more than a database and a user")
    database = parsed.one("database") or (named[0] if named else None)
    user = parsed.one("user") or (named[1] if len(named) > 1 else None)
    server = present(host=parsed.one("host"), port=parsed.one("port"), user=user, database=database)
    sql, script = parsed.one("sql"), parsed.one("file")
    match sql, script, stdin:
        case str(), None, None:
            _check_that_it_reads(sql)
            return Recognised("database.query", {**server, "sql": sql})
        case (None, str() as file, None) | (None, None, str() as file):
            return Recognised("database.restore", {**server, "file": file})
        case None, None, None:
            raise NotRecognised("it opens a prompt for a person to type in")
        case _:
            raise NotRecognised("it gives several things to run: write one a line")


def _check_that_it_reads(sql: str) -> None:
    statement = sql.strip().removesuffix(";")
    if ";" in statement or "\\" in statement:
        raise NotRecognised("it runs several statements or a command of psql: write one statement a line")
    if _READS.match(statement) is None:
        raise NotRecognised("its statement is none of those that only read (SELECT, SHOW, TABLE, VALUES, EXPLAIN)")
    if found := _CHANGES.search(statement):
        raise NotRecognised(f"its statement may change something ({found[0]})")
