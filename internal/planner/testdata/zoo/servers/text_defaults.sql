-- Defaults that are texts with quotes, backslashes, percent signs, words and line breaks.
CREATE TABLE t (
  id int PRIMARY KEY,
  a varchar(20) NOT NULL DEFAULT 'it''s', b varchar(20) DEFAULT 'back\\slash', c varchar(20) DEFAULT '',
  d varchar(20) DEFAULT 'NULL', e varchar(20) DEFAULT 'now()', f varchar(20) DEFAULT '"q"', g varchar(20) DEFAULT '0x41',
  h varchar(20) DEFAULT 'CURRENT_TIMESTAMP', i char(3) DEFAULT '007', j varchar(20) DEFAULT 'a\nb',
  k binary(2) DEFAULT 'ab', l varbinary(5) DEFAULT 0x00FF, m varchar(9) DEFAULT '(x)', n varchar(9) DEFAULT '👩‍🔧'
);
