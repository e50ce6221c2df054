-- Foreign keys: every action, to itself, of two tables to each other, of two columns.
CREATE TABLE b (id int PRIMARY KEY, a int, KEY (a));
CREATE TABLE a (id int PRIMARY KEY, b int, self int,
  CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b (id) ON DELETE SET NULL ON UPDATE CASCADE,
  CONSTRAINT a_self FOREIGN KEY (self) REFERENCES a (id) ON DELETE CASCADE);
ALTER TABLE b ADD CONSTRAINT b_a FOREIGN KEY (a) REFERENCES a (id) ON DELETE RESTRICT ON UPDATE NO ACTION;
CREATE TABLE z (x int, y int, PRIMARY KEY (x, y));
CREATE TABLE c (x int, y int, FOREIGN KEY (x, y) REFERENCES z (x, y));
