-- Comments with quotes, backslashes, line breaks, escapes and emoji.
CREATE TABLE t (
  id int PRIMARY KEY COMMENT 'it''s "quoted"',
  a int COMMENT 'back\\slash', b int COMMENT 'two\nlines', c int COMMENT '; DROP TABLE t; --',
  d int COMMENT '👩‍🔧 and é', e int COMMENT '%s', f int COMMENT '\'', g int COMMENT '\\\'',
  KEY by_a (a) COMMENT 'why\\how', KEY by_b (b) COMMENT 'it''s'
) COMMENT 'a "table"\\ of\ntwo lines, it''s';
