-- atlas:nolint DS102 MF101

-- SQLite up to 3.40 takes NULL for no valid JSON: the CHECK of "avatar" says that it may be NULL.
-- Disable the enforcement of foreign-keys constraints
PRAGMA foreign_keys = off;
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
