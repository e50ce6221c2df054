-- A default that a sequence gives: the sequence is not covered.
CREATE SEQUENCE s;
CREATE TABLE t (id bigint NOT NULL DEFAULT nextval(s) PRIMARY KEY);
