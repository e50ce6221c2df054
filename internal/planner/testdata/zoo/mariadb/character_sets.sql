-- Character sets and collations of columns beside that of the table.
CREATE TABLE t (
  id int PRIMARY KEY, a varchar(9), b varchar(9) CHARACTER SET latin1, c varchar(9) COLLATE utf8mb4_bin,
  d text CHARACTER SET ascii COLLATE ascii_bin, e char(2) CHARACTER SET binary, f varchar(9) COLLATE utf8mb4_unicode_ci
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
CREATE TABLE u (id int PRIMARY KEY, a varchar(9), b varchar(9) CHARACTER SET utf8mb4) DEFAULT CHARSET=latin1;
CREATE TABLE v (id int PRIMARY KEY, a varchar(9)) DEFAULT CHARSET=utf8mb4 COLLATE=uca1400_ai_ci;
