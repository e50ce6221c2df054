-- Columns and tables that are kept compressed.
CREATE TABLE t (id int PRIMARY KEY, a varchar(500) COMPRESSED, b text COMPRESSED=zlib DEFAULT 'x', c blob COMPRESSED);
CREATE TABLE u (id int PRIMARY KEY) PAGE_COMPRESSED=1 PAGE_COMPRESSION_LEVEL=3;
