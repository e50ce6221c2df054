-- Names with backticks, quotes, spaces, percent signs, commas, brackets and letters of other scripts.
CREATE TABLE `a ``b" c` (
  `i``d` int PRIMARY KEY, `%s %d` int DEFAULT 1, `naïve, (yes)` varchar(9), `select` int, `"q"` int,
  KEY `k``1` (`naïve, (yes)`), CONSTRAINT `c``1` CHECK (`%s %d` > 0)
);
CREATE TABLE `ребёнок` (
  id int PRIMARY KEY, `p``id` int,
  CONSTRAINT `f``k` FOREIGN KEY (`p``id`) REFERENCES `a ``b" c` (`i``d`)
);
