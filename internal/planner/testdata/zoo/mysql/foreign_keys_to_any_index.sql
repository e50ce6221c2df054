-- Foreign keys to columns of which no unique index is, as servers before MySQL 8.4 made them.
SET restrict_fk_on_non_standard_key = OFF;
CREATE TABLE p (id int PRIMARY KEY, a int, b int, KEY (a), UNIQUE KEY (b, a));
CREATE TABLE c (id int PRIMARY KEY, a int, b int, CONSTRAINT c_a FOREIGN KEY (a) REFERENCES p (a),
  CONSTRAINT c_b FOREIGN KEY (b) REFERENCES p (b));
CREATE TABLE d (x int, y int, CONSTRAINT d_p FOREIGN KEY (x, y) REFERENCES p (b, a));
