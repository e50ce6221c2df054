-- Indexes on expressions, partial, descending and with a collation.
CREATE TABLE t (id integer PRIMARY KEY, a text, b text, c int);
CREATE INDEX lower_a ON t (lower(a));
CREATE UNIQUE INDEX once ON t (a COLLATE NOCASE, c DESC) WHERE c > 0 AND a <> 'where (';
CREATE INDEX two ON t (substr(a, 1, 2), (c + 1) DESC);
create index lower_words on t(b) where b is not null;
