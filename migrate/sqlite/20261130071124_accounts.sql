-- atlas:nolint DS102 MF101

-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
-- Create "new_otps" table
CREATE TABLE `new_otps` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `email` text NOT NULL,
  `otp_hash_code` text NOT NULL,
  `next_resend_allowed_at` datetime NOT NULL,
  `type` text NOT NULL,
  `expires_at` datetime NOT NULL,
  `is_used` bool NOT NULL DEFAULT false,
  `used_at` datetime NULL,
  `attempts` integer NOT NULL DEFAULT 0,
  `max_attempts` integer NOT NULL DEFAULT 5,
  `ticket_hash` text NULL,
  `origin_hash` text NULL,
  `is_known_device` bool NOT NULL DEFAULT false,
  `is_link` bool NOT NULL DEFAULT false,
  `requested_by` integer NULL,
  `first_step` text NULL,
  `trust_epoch` integer NULL,
  CONSTRAINT `created_at_is_utc` CHECK (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `updated_at_is_utc` CHECK (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `email_is_text` CHECK (typeof(email) <> 'blob'),
  CONSTRAINT `otp_hash_code_is_text` CHECK (typeof(otp_hash_code) <> 'blob'),
  CONSTRAINT `next_resend_allowed_at_is_utc` CHECK (next_resend_allowed_at glob '????-??-?? ??:??:??*' and instr(next_resend_allowed_at, char(0)) = 0 and datetime(substr(next_resend_allowed_at, 1, 19), '+0 days') is substr(next_resend_allowed_at, 1, 19) and (substr(next_resend_allowed_at, 20) in ('', '+00:00') or substr(next_resend_allowed_at, 20) glob '.[0-9]*' and ltrim(substr(next_resend_allowed_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `type_is_listed` CHECK (type in ('signin', 'email-verification', 'password-reset', 'password-change')),
  CONSTRAINT `expires_at_is_utc` CHECK (expires_at glob '????-??-?? ??:??:??*' and instr(expires_at, char(0)) = 0 and datetime(substr(expires_at, 1, 19), '+0 days') is substr(expires_at, 1, 19) and (substr(expires_at, 20) in ('', '+00:00') or substr(expires_at, 20) glob '.[0-9]*' and ltrim(substr(expires_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `is_used_is_0_or_1` CHECK (is_used in (0, 1)),
  CONSTRAINT `used_at_is_utc` CHECK (used_at glob '????-??-?? ??:??:??*' and instr(used_at, char(0)) = 0 and datetime(substr(used_at, 1, 19), '+0 days') is substr(used_at, 1, 19) and (substr(used_at, 20) in ('', '+00:00') or substr(used_at, 20) glob '.[0-9]*' and ltrim(substr(used_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `attempts_is_int` CHECK (typeof(attempts) = 'integer' and attempts between -2147483648 and 2147483647),
  CONSTRAINT `max_attempts_is_int` CHECK (typeof(max_attempts) = 'integer' and max_attempts between -2147483648 and 2147483647),
  CONSTRAINT `ticket_hash_is_text` CHECK (typeof(ticket_hash) <> 'blob'),
  CONSTRAINT `origin_hash_is_text` CHECK (typeof(origin_hash) <> 'blob'),
  CONSTRAINT `is_known_device_is_0_or_1` CHECK (is_known_device in (0, 1)),
  CONSTRAINT `is_link_is_0_or_1` CHECK (is_link in (0, 1)),
  CONSTRAINT `first_step_is_listed` CHECK (first_step in ('password', 'mail', 'provider', 'reactivation', 'email-change')),
  CONSTRAINT `trust_epoch_is_int` CHECK (trust_epoch is null or typeof(trust_epoch) = 'integer' and trust_epoch between -2147483648 and 2147483647),
  CONSTRAINT `otps_attempts` CHECK (attempts BETWEEN 0 AND max_attempts)
);
-- Copy rows from old table "otps" to new temporary table "new_otps"
INSERT INTO `new_otps` (`id`, `created_at`, `updated_at`, `email`, `otp_hash_code`, `next_resend_allowed_at`, `type`, `expires_at`, `is_used`, `used_at`, `attempts`, `max_attempts`) SELECT `id`, `created_at`, `updated_at`, `email`, `otp_hash_code`, `next_resend_allowed_at`, `type`, `expires_at`, `is_used`, `used_at`, `attempts`, `max_attempts` FROM `otps`;
-- Go on counting ids of "otps" where it was
DELETE FROM `sqlite_sequence` WHERE `name` = 'new_otps';
INSERT INTO `sqlite_sequence` (`name`, `seq`) SELECT 'new_otps', `seq` FROM `sqlite_sequence` WHERE `name` = 'otps';
-- Drop "otps" table after copying rows
DROP TABLE `otps`;
-- Rename temporary table "new_otps" to "otps"
ALTER TABLE `new_otps` RENAME TO `otps`;
-- Create index "otp_email_type" to table: "otps"
CREATE INDEX `otp_email_type` ON `otps` (`email`, `type`);
-- Create index "otp_expires_at" to table: "otps"
CREATE INDEX `otp_expires_at` ON `otps` (`expires_at`);
-- Create "new_refresh_tokens" table
CREATE TABLE `new_refresh_tokens` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `token_hash` text NOT NULL,
  `expires_at` datetime NOT NULL,
  `is_revoked` bool NOT NULL DEFAULT false,
  `revoked_at` datetime NULL,
  `replaced_by_token_hash` text NULL,
  `grace_uses` integer NOT NULL DEFAULT 0,
  `family` text NULL,
  `successor_salt` text NULL,
  `user_id` integer NOT NULL,
  CONSTRAINT `refresh_tokens_users_refresh_tokens` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON UPDATE NO ACTION ON DELETE CASCADE,
  CONSTRAINT `created_at_is_utc` CHECK (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `updated_at_is_utc` CHECK (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `token_hash_is_text` CHECK (typeof(token_hash) <> 'blob'),
  CONSTRAINT `expires_at_is_utc` CHECK (expires_at glob '????-??-?? ??:??:??*' and instr(expires_at, char(0)) = 0 and datetime(substr(expires_at, 1, 19), '+0 days') is substr(expires_at, 1, 19) and (substr(expires_at, 20) in ('', '+00:00') or substr(expires_at, 20) glob '.[0-9]*' and ltrim(substr(expires_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `is_revoked_is_0_or_1` CHECK (is_revoked in (0, 1)),
  CONSTRAINT `revoked_at_is_utc` CHECK (revoked_at glob '????-??-?? ??:??:??*' and instr(revoked_at, char(0)) = 0 and datetime(substr(revoked_at, 1, 19), '+0 days') is substr(revoked_at, 1, 19) and (substr(revoked_at, 20) in ('', '+00:00') or substr(revoked_at, 20) glob '.[0-9]*' and ltrim(substr(revoked_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `replaced_by_token_hash_is_text` CHECK (typeof(replaced_by_token_hash) <> 'blob'),
  CONSTRAINT `grace_uses_is_int` CHECK (typeof(grace_uses) = 'integer' and grace_uses between -2147483648 and 2147483647),
  CONSTRAINT `family_is_text` CHECK (typeof(family) <> 'blob'),
  CONSTRAINT `successor_salt_is_text` CHECK (typeof(successor_salt) <> 'blob')
);
-- Copy rows from old table "refresh_tokens" to new temporary table "new_refresh_tokens"
INSERT INTO `new_refresh_tokens` (`id`, `created_at`, `updated_at`, `token_hash`, `expires_at`, `is_revoked`, `revoked_at`, `replaced_by_token_hash`, `grace_uses`, `user_id`) SELECT `id`, `created_at`, `updated_at`, `token_hash`, `expires_at`, `is_revoked`, `revoked_at`, `replaced_by_token_hash`, `grace_uses`, `user_id` FROM `refresh_tokens`;
-- Go on counting ids of "refresh_tokens" where it was
DELETE FROM `sqlite_sequence` WHERE `name` = 'new_refresh_tokens';
INSERT INTO `sqlite_sequence` (`name`, `seq`) SELECT 'new_refresh_tokens', `seq` FROM `sqlite_sequence` WHERE `name` = 'refresh_tokens';
-- Drop "refresh_tokens" table after copying rows
DROP TABLE `refresh_tokens`;
-- Rename temporary table "new_refresh_tokens" to "refresh_tokens"
ALTER TABLE `new_refresh_tokens` RENAME TO `refresh_tokens`;
-- Create index "refresh_tokens_token_hash_key" to table: "refresh_tokens"
CREATE UNIQUE INDEX `refresh_tokens_token_hash_key` ON `refresh_tokens` (`token_hash`);
-- Create index "refreshtoken_user_id_is_revoked" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_user_id_is_revoked` ON `refresh_tokens` (`user_id`, `is_revoked`);
-- Create index "refreshtoken_expires_at" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_expires_at` ON `refresh_tokens` (`expires_at`);
-- Create "new_sessions" table
CREATE TABLE `new_sessions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `token_hash` text NOT NULL,
  `ip` text NULL,
  `user_agent` text NULL,
  `is_active` bool NOT NULL DEFAULT true,
  `last_used_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `expires_at` datetime NOT NULL,
  `family` text NULL,
  `trust_epoch` integer NULL,
  `device_failures` integer NOT NULL DEFAULT 0,
  `user_id` integer NOT NULL,
  CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON UPDATE NO ACTION ON DELETE CASCADE,
  CONSTRAINT `created_at_is_utc` CHECK (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `updated_at_is_utc` CHECK (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `token_hash_is_text` CHECK (typeof(token_hash) <> 'blob'),
  CONSTRAINT `ip_is_text` CHECK (typeof(ip) <> 'blob'),
  CONSTRAINT `user_agent_is_text` CHECK (typeof(user_agent) <> 'blob'),
  CONSTRAINT `is_active_is_0_or_1` CHECK (is_active in (0, 1)),
  CONSTRAINT `last_used_at_is_utc` CHECK (last_used_at glob '????-??-?? ??:??:??*' and instr(last_used_at, char(0)) = 0 and datetime(substr(last_used_at, 1, 19), '+0 days') is substr(last_used_at, 1, 19) and (substr(last_used_at, 20) in ('', '+00:00') or substr(last_used_at, 20) glob '.[0-9]*' and ltrim(substr(last_used_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `expires_at_is_utc` CHECK (expires_at glob '????-??-?? ??:??:??*' and instr(expires_at, char(0)) = 0 and datetime(substr(expires_at, 1, 19), '+0 days') is substr(expires_at, 1, 19) and (substr(expires_at, 20) in ('', '+00:00') or substr(expires_at, 20) glob '.[0-9]*' and ltrim(substr(expires_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `family_is_text` CHECK (typeof(family) <> 'blob'),
  CONSTRAINT `trust_epoch_is_int` CHECK (trust_epoch is null or typeof(trust_epoch) = 'integer' and trust_epoch between -2147483648 and 2147483647),
  CONSTRAINT `device_failures_is_int` CHECK (typeof(device_failures) = 'integer' and device_failures between -2147483648 and 2147483647)
);
-- Copy rows from old table "sessions" to new temporary table "new_sessions"
INSERT INTO `new_sessions` (`id`, `created_at`, `updated_at`, `token_hash`, `ip`, `user_agent`, `is_active`, `last_used_at`, `expires_at`, `user_id`) SELECT `id`, `created_at`, `updated_at`, `token_hash`, `ip`, `user_agent`, `is_active`, `last_used_at`, `expires_at`, `user_id` FROM `sessions`;
-- Go on counting ids of "sessions" where it was
DELETE FROM `sqlite_sequence` WHERE `name` = 'new_sessions';
INSERT INTO `sqlite_sequence` (`name`, `seq`) SELECT 'new_sessions', `seq` FROM `sqlite_sequence` WHERE `name` = 'sessions';
-- Drop "sessions" table after copying rows
DROP TABLE `sessions`;
-- Rename temporary table "new_sessions" to "sessions"
ALTER TABLE `new_sessions` RENAME TO `sessions`;
-- Create index "sessions_token_hash_key" to table: "sessions"
CREATE UNIQUE INDEX `sessions_token_hash_key` ON `sessions` (`token_hash`);
-- Create index "session_user_id_is_active_expires_at" to table: "sessions"
CREATE INDEX `session_user_id_is_active_expires_at` ON `sessions` (`user_id`, `is_active`, `expires_at`);
-- Create index "session_expires_at" to table: "sessions"
CREATE INDEX `session_expires_at` ON `sessions` (`expires_at`);
-- Create "new_users" table
CREATE TABLE `new_users` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `name` text NOT NULL,
  `email` text NOT NULL,
  `password` text NULL,
  `role` text NOT NULL DEFAULT 'user',
  `provider` text NOT NULL DEFAULT 'local',
  `provider_id` text NULL,
  `avatar` json NULL,
  `is_email_verified` bool NOT NULL DEFAULT false,
  `last_login_at` datetime NULL,
  `failed_login_attempts` integer NOT NULL DEFAULT 0,
  `lock_until` datetime NULL,
  `is_deleted` bool NOT NULL DEFAULT false,
  `deleted_at` datetime NULL,
  `re_activate_available_at` datetime NULL,
  `suspended_until` datetime NULL,
  `guess_failures` integer NOT NULL DEFAULT 0,
  `step_failures` integer NOT NULL DEFAULT 0,
  `trust_epoch` integer NOT NULL DEFAULT 0,
  `reset_by_mail` bool NOT NULL DEFAULT false,
  CONSTRAINT `created_at_is_utc` CHECK (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `updated_at_is_utc` CHECK (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `name_is_text` CHECK (typeof(name) <> 'blob'),
  CONSTRAINT `email_is_text` CHECK (typeof(email) <> 'blob'),
  CONSTRAINT `password_is_text` CHECK (typeof(password) <> 'blob'),
  CONSTRAINT `role_is_listed` CHECK (role in ('user', 'admin')),
  CONSTRAINT `provider_is_listed` CHECK (provider in ('local', 'google', 'github')),
  CONSTRAINT `provider_id_is_text` CHECK (typeof(provider_id) <> 'blob'),
  CONSTRAINT `avatar_is_json` CHECK (avatar is null or json_valid(cast(avatar as text))),
  CONSTRAINT `is_email_verified_is_0_or_1` CHECK (is_email_verified in (0, 1)),
  CONSTRAINT `last_login_at_is_utc` CHECK (last_login_at glob '????-??-?? ??:??:??*' and instr(last_login_at, char(0)) = 0 and datetime(substr(last_login_at, 1, 19), '+0 days') is substr(last_login_at, 1, 19) and (substr(last_login_at, 20) in ('', '+00:00') or substr(last_login_at, 20) glob '.[0-9]*' and ltrim(substr(last_login_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `failed_login_attempts_is_int` CHECK (typeof(failed_login_attempts) = 'integer' and failed_login_attempts between -2147483648 and 2147483647),
  CONSTRAINT `lock_until_is_utc` CHECK (lock_until glob '????-??-?? ??:??:??*' and instr(lock_until, char(0)) = 0 and datetime(substr(lock_until, 1, 19), '+0 days') is substr(lock_until, 1, 19) and (substr(lock_until, 20) in ('', '+00:00') or substr(lock_until, 20) glob '.[0-9]*' and ltrim(substr(lock_until, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `is_deleted_is_0_or_1` CHECK (is_deleted in (0, 1)),
  CONSTRAINT `deleted_at_is_utc` CHECK (deleted_at glob '????-??-?? ??:??:??*' and instr(deleted_at, char(0)) = 0 and datetime(substr(deleted_at, 1, 19), '+0 days') is substr(deleted_at, 1, 19) and (substr(deleted_at, 20) in ('', '+00:00') or substr(deleted_at, 20) glob '.[0-9]*' and ltrim(substr(deleted_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `re_activate_available_at_is_utc` CHECK (re_activate_available_at glob '????-??-?? ??:??:??*' and instr(re_activate_available_at, char(0)) = 0 and datetime(substr(re_activate_available_at, 1, 19), '+0 days') is substr(re_activate_available_at, 1, 19) and (substr(re_activate_available_at, 20) in ('', '+00:00') or substr(re_activate_available_at, 20) glob '.[0-9]*' and ltrim(substr(re_activate_available_at, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `suspended_until_is_utc` CHECK (suspended_until glob '????-??-?? ??:??:??*' and instr(suspended_until, char(0)) = 0 and datetime(substr(suspended_until, 1, 19), '+0 days') is substr(suspended_until, 1, 19) and (substr(suspended_until, 20) in ('', '+00:00') or substr(suspended_until, 20) glob '.[0-9]*' and ltrim(substr(suspended_until, 21), '0123456789') in ('', '+00:00'))),
  CONSTRAINT `guess_failures_is_int` CHECK (typeof(guess_failures) = 'integer' and guess_failures between -2147483648 and 2147483647),
  CONSTRAINT `step_failures_is_int` CHECK (typeof(step_failures) = 'integer' and step_failures between -2147483648 and 2147483647),
  CONSTRAINT `trust_epoch_is_int` CHECK (typeof(trust_epoch) = 'integer' and trust_epoch between -2147483648 and 2147483647),
  CONSTRAINT `reset_by_mail_is_0_or_1` CHECK (reset_by_mail in (0, 1)),
  CONSTRAINT `users_failed_login_attempts` CHECK (failed_login_attempts >= 0)
);
-- Copy rows from old table "users" to new temporary table "new_users"
INSERT INTO `new_users` (`id`, `created_at`, `updated_at`, `name`, `email`, `password`, `role`, `provider`, `provider_id`, `avatar`, `is_email_verified`, `last_login_at`, `failed_login_attempts`, `lock_until`, `is_deleted`, `deleted_at`, `re_activate_available_at`) SELECT `id`, `created_at`, `updated_at`, `name`, `email`, `password`, `role`, `provider`, `provider_id`, `avatar`, `is_email_verified`, `last_login_at`, `failed_login_attempts`, `lock_until`, `is_deleted`, `deleted_at`, `re_activate_available_at` FROM `users`;
-- Go on counting ids of "users" where it was
DELETE FROM `sqlite_sequence` WHERE `name` = 'new_users';
INSERT INTO `sqlite_sequence` (`name`, `seq`) SELECT 'new_users', `seq` FROM `sqlite_sequence` WHERE `name` = 'users';
-- Drop "users" table after copying rows
DROP TABLE `users`;
-- Rename temporary table "new_users" to "users"
ALTER TABLE `new_users` RENAME TO `users`;
-- Create index "users_email_key" to table: "users"
CREATE UNIQUE INDEX `users_email_key` ON `users` (`email`);
-- Create index "user_provider_provider_id" to table: "users"
CREATE UNIQUE INDEX `user_provider_provider_id` ON `users` (`provider`, `provider_id`);
-- Create index "user_role" to table: "users"
CREATE INDEX `user_role` ON `users` (`role`);
-- Create index "user_is_deleted_deleted_at" to table: "users"
CREATE INDEX `user_is_deleted_deleted_at` ON `users` (`is_deleted`, `deleted_at`);
-- Enable back the enforcement of foreign-keys constraints
PRAGMA foreign_keys = on;
-- A lock longer than guessing causes by default is an operator's: it becomes a suspension
UPDATE `users` SET `suspended_until` = `lock_until` WHERE `lock_until` > strftime('%Y-%m-%d %H:%M:%S', 'now', '+15 minutes');
