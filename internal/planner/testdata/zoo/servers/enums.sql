-- ENUM and SET with commas, quotes, brackets, spaces, backslashes and an empty value.
CREATE TABLE t (
  id int PRIMARY KEY,
  a enum('a,b','c''d','e"f','(g)','h\\i','','j k') DEFAULT 'c''d', b set('x','y z','é') NOT NULL DEFAULT 'x,é',
  c enum('only') NOT NULL, d enum('A','b') CHARACTER SET latin1 COLLATE latin1_bin
);
