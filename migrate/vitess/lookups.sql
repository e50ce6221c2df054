-- Of the keyspace auth_lookups, which is not sharded: the sequences of the ids, and what keeps an address and an identity
-- of a provider unique over all shards.
CREATE TABLE users_seq (
  id int NOT NULL,
  next_id bigint NOT NULL,
  cache bigint NOT NULL,
  PRIMARY KEY (id)
) COMMENT 'vitess_sequence';
INSERT INTO users_seq (id, next_id, cache) VALUES (0, 1, 1000);
CREATE TABLE sessions_seq (
  id int NOT NULL,
  next_id bigint NOT NULL,
  cache bigint NOT NULL,
  PRIMARY KEY (id)
) COMMENT 'vitess_sequence';
INSERT INTO sessions_seq (id, next_id, cache) VALUES (0, 1, 1000);
CREATE TABLE refresh_tokens_seq (
  id int NOT NULL,
  next_id bigint NOT NULL,
  cache bigint NOT NULL,
  PRIMARY KEY (id)
) COMMENT 'vitess_sequence';
INSERT INTO refresh_tokens_seq (id, next_id, cache) VALUES (0, 1, 1000);
CREATE TABLE otps_seq (
  id int NOT NULL,
  next_id bigint NOT NULL,
  cache bigint NOT NULL,
  PRIMARY KEY (id)
) COMMENT 'vitess_sequence';
INSERT INTO otps_seq (id, next_id, cache) VALUES (0, 1, 1000);
CREATE TABLE user_by_email (
  email varchar(255) NOT NULL,
  keyspace_id varbinary(128) NOT NULL,
  PRIMARY KEY (email)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE user_by_provider (
  provider_id varchar(255) NOT NULL,
  provider varchar(32) NOT NULL,
  keyspace_id varbinary(128) NOT NULL,
  PRIMARY KEY (provider_id, provider)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
