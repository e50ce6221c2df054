-- Numbers: unsigned, zerofill, display width, bits, decimals, scales of floats.
CREATE TABLE t (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  a int(5) unsigned zerofill DEFAULT 42, b tinyint(1) NOT NULL DEFAULT 0, c tinyint(1) unsigned, d tinyint(4) DEFAULT -1,
  e float(7,3), f double(10,2) DEFAULT 1.5, g double unsigned, h decimal(65,30) DEFAULT 0.5, i decimal(10,2) unsigned zerofill,
  j bit(8) DEFAULT b'101', k bit(1) DEFAULT b'1', l mediumint, m smallint unsigned, n year, o float, p decimal(5)
);
