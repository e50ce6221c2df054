-- Indexes: prefix, descending, FULLTEXT, HASH on long texts, with options.
CREATE TABLE t (
  id int PRIMARY KEY, a varchar(200), b text, c int,
  KEY p (a(10)), KEY de (c DESC, a), FULLTEXT KEY ft (b), KEY bt (c) USING BTREE, UNIQUE KEY h (b), KEY bs (c, id) KEY_BLOCK_SIZE=4, KEY c (c)
);
CREATE TABLE u (id int PRIMARY KEY, a int, KEY h (a) USING HASH) ENGINE=MEMORY;
