-- Vectors.
CREATE TABLE t (id int PRIMARY KEY, a vector(3), b vector NOT NULL COMMENT 'v');
