-- Dates that strict servers refuse as a default.
SET sql_mode = '';
CREATE TABLE t (id int PRIMARY KEY, a datetime NOT NULL DEFAULT '0000-00-00 00:00:00', b date DEFAULT '0000-00-00',
  c timestamp NOT NULL DEFAULT '0000-00-00 00:00:00' ON UPDATE CURRENT_TIMESTAMP, d date DEFAULT '2020-00-00');
