-- Tables that are strict, without a rowid, without a key, with an id that is never used again.
CREATE TABLE a (id text PRIMARY KEY, b int) WITHOUT ROWID;
CREATE TABLE b (id integer PRIMARY KEY AUTOINCREMENT, c any) STRICT;
CREATE TABLE c (x int, y int, PRIMARY KEY (y DESC, x)) WITHOUT ROWID, STRICT;
CREATE TABLE d (x);
