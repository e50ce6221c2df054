-- CHECKs whose expressions hold strings, quotes, a backslash and a line break.
CREATE TABLE t (
  id int PRIMARY KEY, a varchar(20),
  CONSTRAINT one CHECK (a <> 'it''s'),
  CONSTRAINT two CHECK (a <> 'back\\slash'),
  CONSTRAINT three CHECK (a <> 'two\nlines'),
  CONSTRAINT four CHECK (a NOT IN ('(', ')', ','))
);
