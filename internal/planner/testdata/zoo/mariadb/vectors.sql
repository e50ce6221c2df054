-- Vectors with their index.
CREATE TABLE t (id int PRIMARY KEY, v vector(3) NOT NULL, VECTOR INDEX by_v (v) M=6 DISTANCE=cosine);
CREATE TABLE u (id int PRIMARY KEY, v vector(5));
