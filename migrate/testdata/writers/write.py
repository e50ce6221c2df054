"""Writes times and booleans into the file it is given as programs do, and ignores what is refused."""
import sqlite3
import sys
import time
import warnings
from datetime import datetime, timedelta, timezone

warnings.simplefilter("ignore")
db = sqlite3.connect(sys.argv[1])


def insert(column, label, value):
    columns, values = ("expires_at", "?") if column == "expires_at" else ("expires_at, " + column, "'2026-01-31 12:00:00', ?")
    try:
        with db:
            db.execute(f"INSERT INTO sessions (user_id, token_hash, {columns}) VALUES (1, ?, {values})", ("python " + label, value))
    except sqlite3.IntegrityError as e:
        if "CHECK constraint failed" not in str(e):
            raise


kathmandu = timezone(timedelta(hours=5, minutes=45))
for when, minutes in (("past", -1), ("future", 1)):
    at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    insert("expires_at", when + " datetime in UTC", at)
    insert("expires_at", when + " datetime to the second", at.replace(microsecond=0))
    insert("expires_at", when + " datetime in Kathmandu", at.astimezone(kathmandu))
    insert("expires_at", when + " naive datetime of UTC", at.replace(tzinfo=None))
    insert("expires_at", when + " isoformat", at.isoformat())
    insert("expires_at", when + " isoformat in Kathmandu", at.astimezone(kathmandu).isoformat())
    insert("expires_at", when + " strftime", at.strftime("%Y-%m-%d %H:%M:%S"))
    insert("expires_at", when + " strftime with microseconds", at.strftime("%Y-%m-%d %H:%M:%S.%f"))
    insert("expires_at", when + " bytes", str(at).encode())
    insert("expires_at", when + " float", time.time() + 60 * minutes)
    insert("expires_at", when + " int", int(time.time() + 60 * minutes))
    insert("expires_at", when + " int as text", str(int(time.time() + 60 * minutes)))
for label, values in (("on", (True, 1, 1.0, "true", "True", b"1", "1")), ("off", (False, 0, 0.0, "false", "False", b"0", "0", ""))):
    for value in values:
        insert("is_active", f"{label} {type(value).__name__} {value}", value)
db.close()
