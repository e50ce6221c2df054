-- Times with and without fractions, and ON UPDATE without a default.
CREATE TABLE t (id int PRIMARY KEY, a timestamp(6) NULL ON UPDATE CURRENT_TIMESTAMP(6), b datetime DEFAULT CURRENT_TIMESTAMP,
  c time(3) DEFAULT '10:00:00.123', d timestamp NULL DEFAULT NULL, e datetime ON UPDATE CURRENT_TIMESTAMP,
  f timestamp NOT NULL DEFAULT '2020-01-01 00:00:00', g date DEFAULT '2020-01-01');
