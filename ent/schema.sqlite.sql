-- Code generated from ent/schema by go generate ./ent, DO NOT EDIT.

-- Create "otps" table
CREATE TABLE `otps` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime constraint created_at_is_utc check (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime constraint updated_at_is_utc check (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `email` text constraint email_is_text check (typeof(email) <> 'blob') NOT NULL,
  `otp_hash_code` text constraint otp_hash_code_is_text check (typeof(otp_hash_code) <> 'blob') NOT NULL,
  `next_resend_allowed_at` datetime constraint next_resend_allowed_at_is_utc check (next_resend_allowed_at glob '????-??-?? ??:??:??*' and instr(next_resend_allowed_at, char(0)) = 0 and datetime(substr(next_resend_allowed_at, 1, 19), '+0 days') is substr(next_resend_allowed_at, 1, 19) and (substr(next_resend_allowed_at, 20) in ('', '+00:00') or substr(next_resend_allowed_at, 20) glob '.[0-9]*' and ltrim(substr(next_resend_allowed_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL,
  `type` text constraint type_is_listed check (type in ('signin', 'email-verification', 'password-reset', 'password-change')) NOT NULL,
  `expires_at` datetime constraint expires_at_is_utc check (expires_at glob '????-??-?? ??:??:??*' and instr(expires_at, char(0)) = 0 and datetime(substr(expires_at, 1, 19), '+0 days') is substr(expires_at, 1, 19) and (substr(expires_at, 20) in ('', '+00:00') or substr(expires_at, 20) glob '.[0-9]*' and ltrim(substr(expires_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL,
  `is_used` bool constraint is_used_is_0_or_1 check (is_used in (0, 1)) NOT NULL DEFAULT (false),
  `used_at` datetime constraint used_at_is_utc check (used_at glob '????-??-?? ??:??:??*' and instr(used_at, char(0)) = 0 and datetime(substr(used_at, 1, 19), '+0 days') is substr(used_at, 1, 19) and (substr(used_at, 20) in ('', '+00:00') or substr(used_at, 20) glob '.[0-9]*' and ltrim(substr(used_at, 21), '0123456789') in ('', '+00:00'))) NULL,
  `attempts` integer constraint attempts_is_int check (typeof(attempts) = 'integer' and attempts between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `max_attempts` integer constraint max_attempts_is_int check (typeof(max_attempts) = 'integer' and max_attempts between -2147483648 and 2147483647) NOT NULL DEFAULT (5),
  `ticket_hash` text constraint ticket_hash_is_text check (typeof(ticket_hash) <> 'blob') NULL,
  `origin_hash` text constraint origin_hash_is_text check (typeof(origin_hash) <> 'blob') NULL,
  `is_known_device` bool constraint is_known_device_is_0_or_1 check (is_known_device in (0, 1)) NOT NULL DEFAULT (false),
  `is_link` bool constraint is_link_is_0_or_1 check (is_link in (0, 1)) NOT NULL DEFAULT (false),
  `requested_by` integer NULL,
  `first_step` text constraint first_step_is_listed check (first_step in ('password', 'mail', 'provider', 'reactivation', 'email-change')) NULL,
  `trust_epoch` integer constraint trust_epoch_is_int check (trust_epoch is null or typeof(trust_epoch) = 'integer' and trust_epoch between -2147483648 and 2147483647) NULL,
  CONSTRAINT `otps_attempts` CHECK (attempts BETWEEN 0 AND max_attempts)
);
-- Create index "otp_email_type" to table: "otps"
CREATE INDEX `otp_email_type` ON `otps` (`email`, `type`);
-- Create index "otp_ticket_hash" to table: "otps"
CREATE INDEX `otp_ticket_hash` ON `otps` (`ticket_hash`);
-- Create index "otp_email_created_at" to table: "otps"
CREATE INDEX `otp_email_created_at` ON `otps` (`email`, `created_at`);
-- Create index "otp_origin_hash_created_at" to table: "otps"
CREATE INDEX `otp_origin_hash_created_at` ON `otps` (`origin_hash`, `created_at`);
-- Create index "otp_expires_at" to table: "otps"
CREATE INDEX `otp_expires_at` ON `otps` (`expires_at`);
-- Create "otp_stripes" table
CREATE TABLE `otp_stripes` (
  `id` integer NOT NULL,
  `turn` integer NOT NULL DEFAULT (0),
  PRIMARY KEY (`id`)
);
-- Create "refresh_tokens" table
CREATE TABLE `refresh_tokens` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime constraint created_at_is_utc check (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime constraint updated_at_is_utc check (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `token_hash` text constraint token_hash_is_text check (typeof(token_hash) <> 'blob') NOT NULL,
  `expires_at` datetime constraint expires_at_is_utc check (expires_at glob '????-??-?? ??:??:??*' and instr(expires_at, char(0)) = 0 and datetime(substr(expires_at, 1, 19), '+0 days') is substr(expires_at, 1, 19) and (substr(expires_at, 20) in ('', '+00:00') or substr(expires_at, 20) glob '.[0-9]*' and ltrim(substr(expires_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL,
  `is_revoked` bool constraint is_revoked_is_0_or_1 check (is_revoked in (0, 1)) NOT NULL DEFAULT (false),
  `revoked_at` datetime constraint revoked_at_is_utc check (revoked_at glob '????-??-?? ??:??:??*' and instr(revoked_at, char(0)) = 0 and datetime(substr(revoked_at, 1, 19), '+0 days') is substr(revoked_at, 1, 19) and (substr(revoked_at, 20) in ('', '+00:00') or substr(revoked_at, 20) glob '.[0-9]*' and ltrim(substr(revoked_at, 21), '0123456789') in ('', '+00:00'))) NULL,
  `replaced_by_token_hash` text constraint replaced_by_token_hash_is_text check (typeof(replaced_by_token_hash) <> 'blob') NULL,
  `grace_uses` integer constraint grace_uses_is_int check (typeof(grace_uses) = 'integer' and grace_uses between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `family` text constraint family_is_text check (typeof(family) <> 'blob') NULL,
  `successor_salt` text constraint successor_salt_is_text check (typeof(successor_salt) <> 'blob') NULL,
  `user_id` integer NOT NULL,
  CONSTRAINT `refresh_tokens_users_refresh_tokens` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
);
-- Create index "refresh_tokens_token_hash_key" to table: "refresh_tokens"
CREATE UNIQUE INDEX `refresh_tokens_token_hash_key` ON `refresh_tokens` (`token_hash`);
-- Create index "refreshtoken_user_id_is_revoked" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_user_id_is_revoked` ON `refresh_tokens` (`user_id`, `is_revoked`);
-- Create index "refreshtoken_family_is_revoked" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_family_is_revoked` ON `refresh_tokens` (`family`, `is_revoked`);
-- Create index "refreshtoken_expires_at" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_expires_at` ON `refresh_tokens` (`expires_at`);
-- Create "sessions" table
CREATE TABLE `sessions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime constraint created_at_is_utc check (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime constraint updated_at_is_utc check (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `token_hash` text constraint token_hash_is_text check (typeof(token_hash) <> 'blob') NOT NULL,
  `ip` text constraint ip_is_text check (typeof(ip) <> 'blob') NULL,
  `user_agent` text constraint user_agent_is_text check (typeof(user_agent) <> 'blob') NULL,
  `is_active` bool constraint is_active_is_0_or_1 check (is_active in (0, 1)) NOT NULL DEFAULT (true),
  `last_used_at` datetime constraint last_used_at_is_utc check (last_used_at glob '????-??-?? ??:??:??*' and instr(last_used_at, char(0)) = 0 and datetime(substr(last_used_at, 1, 19), '+0 days') is substr(last_used_at, 1, 19) and (substr(last_used_at, 20) in ('', '+00:00') or substr(last_used_at, 20) glob '.[0-9]*' and ltrim(substr(last_used_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `expires_at` datetime constraint expires_at_is_utc check (expires_at glob '????-??-?? ??:??:??*' and instr(expires_at, char(0)) = 0 and datetime(substr(expires_at, 1, 19), '+0 days') is substr(expires_at, 1, 19) and (substr(expires_at, 20) in ('', '+00:00') or substr(expires_at, 20) glob '.[0-9]*' and ltrim(substr(expires_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL,
  `family` text constraint family_is_text check (typeof(family) <> 'blob') NULL,
  `trust_epoch` integer constraint trust_epoch_is_int check (trust_epoch is null or typeof(trust_epoch) = 'integer' and trust_epoch between -2147483648 and 2147483647) NULL,
  `device_failures` integer constraint device_failures_is_int check (typeof(device_failures) = 'integer' and device_failures between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `user_id` integer NOT NULL,
  CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
);
-- Create index "sessions_token_hash_key" to table: "sessions"
CREATE UNIQUE INDEX `sessions_token_hash_key` ON `sessions` (`token_hash`);
-- Create index "session_user_id_is_active_last_used_at" to table: "sessions"
CREATE INDEX `session_user_id_is_active_last_used_at` ON `sessions` (`user_id`, `is_active`, `last_used_at`);
-- Create index "session_family" to table: "sessions"
CREATE INDEX `session_family` ON `sessions` (`family`);
-- Create index "session_expires_at" to table: "sessions"
CREATE INDEX `session_expires_at` ON `sessions` (`expires_at`);
-- Create "users" table
CREATE TABLE `users` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime constraint created_at_is_utc check (created_at glob '????-??-?? ??:??:??*' and instr(created_at, char(0)) = 0 and datetime(substr(created_at, 1, 19), '+0 days') is substr(created_at, 1, 19) and (substr(created_at, 20) in ('', '+00:00') or substr(created_at, 20) glob '.[0-9]*' and ltrim(substr(created_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime constraint updated_at_is_utc check (updated_at glob '????-??-?? ??:??:??*' and instr(updated_at, char(0)) = 0 and datetime(substr(updated_at, 1, 19), '+0 days') is substr(updated_at, 1, 19) and (substr(updated_at, 20) in ('', '+00:00') or substr(updated_at, 20) glob '.[0-9]*' and ltrim(substr(updated_at, 21), '0123456789') in ('', '+00:00'))) NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `name` text constraint name_is_text check (typeof(name) <> 'blob') NOT NULL,
  `email` text constraint email_is_text check (typeof(email) <> 'blob') NOT NULL,
  `password` text constraint password_is_text check (typeof(password) <> 'blob') NULL,
  `role` text constraint role_is_listed check (role in ('user', 'admin')) NOT NULL DEFAULT ('user'),
  `provider` text constraint provider_is_listed check (provider in ('local', 'google', 'github')) NOT NULL DEFAULT ('local'),
  `provider_id` text constraint provider_id_is_text check (typeof(provider_id) <> 'blob') NULL,
  `avatar` json constraint avatar_is_json check (avatar is null or json_valid(cast(avatar as text))) NULL,
  `is_email_verified` bool constraint is_email_verified_is_0_or_1 check (is_email_verified in (0, 1)) NOT NULL DEFAULT (false),
  `last_login_at` datetime constraint last_login_at_is_utc check (last_login_at glob '????-??-?? ??:??:??*' and instr(last_login_at, char(0)) = 0 and datetime(substr(last_login_at, 1, 19), '+0 days') is substr(last_login_at, 1, 19) and (substr(last_login_at, 20) in ('', '+00:00') or substr(last_login_at, 20) glob '.[0-9]*' and ltrim(substr(last_login_at, 21), '0123456789') in ('', '+00:00'))) NULL,
  `failed_login_attempts` integer constraint failed_login_attempts_is_int check (typeof(failed_login_attempts) = 'integer' and failed_login_attempts between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `lock_until` datetime constraint lock_until_is_utc check (lock_until glob '????-??-?? ??:??:??*' and instr(lock_until, char(0)) = 0 and datetime(substr(lock_until, 1, 19), '+0 days') is substr(lock_until, 1, 19) and (substr(lock_until, 20) in ('', '+00:00') or substr(lock_until, 20) glob '.[0-9]*' and ltrim(substr(lock_until, 21), '0123456789') in ('', '+00:00'))) NULL,
  `is_deleted` bool constraint is_deleted_is_0_or_1 check (is_deleted in (0, 1)) NOT NULL DEFAULT (false),
  `deleted_at` datetime constraint deleted_at_is_utc check (deleted_at glob '????-??-?? ??:??:??*' and instr(deleted_at, char(0)) = 0 and datetime(substr(deleted_at, 1, 19), '+0 days') is substr(deleted_at, 1, 19) and (substr(deleted_at, 20) in ('', '+00:00') or substr(deleted_at, 20) glob '.[0-9]*' and ltrim(substr(deleted_at, 21), '0123456789') in ('', '+00:00'))) NULL,
  `re_activate_available_at` datetime constraint re_activate_available_at_is_utc check (re_activate_available_at glob '????-??-?? ??:??:??*' and instr(re_activate_available_at, char(0)) = 0 and datetime(substr(re_activate_available_at, 1, 19), '+0 days') is substr(re_activate_available_at, 1, 19) and (substr(re_activate_available_at, 20) in ('', '+00:00') or substr(re_activate_available_at, 20) glob '.[0-9]*' and ltrim(substr(re_activate_available_at, 21), '0123456789') in ('', '+00:00'))) NULL,
  `suspended_until` datetime constraint suspended_until_is_utc check (suspended_until glob '????-??-?? ??:??:??*' and instr(suspended_until, char(0)) = 0 and datetime(substr(suspended_until, 1, 19), '+0 days') is substr(suspended_until, 1, 19) and (substr(suspended_until, 20) in ('', '+00:00') or substr(suspended_until, 20) glob '.[0-9]*' and ltrim(substr(suspended_until, 21), '0123456789') in ('', '+00:00'))) NULL,
  `guess_failures` integer constraint guess_failures_is_int check (typeof(guess_failures) = 'integer' and guess_failures between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `step_failures` integer constraint step_failures_is_int check (typeof(step_failures) = 'integer' and step_failures between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `trust_epoch` integer constraint trust_epoch_is_int check (typeof(trust_epoch) = 'integer' and trust_epoch between -2147483648 and 2147483647) NOT NULL DEFAULT (0),
  `reset_by_mail` bool constraint reset_by_mail_is_0_or_1 check (reset_by_mail in (0, 1)) NOT NULL DEFAULT (false),
  CONSTRAINT `users_failed_login_attempts` CHECK (failed_login_attempts >= 0)
);
-- Create index "users_email_key" to table: "users"
CREATE UNIQUE INDEX `users_email_key` ON `users` (`email`);
-- Create index "user_provider_provider_id" to table: "users"
CREATE UNIQUE INDEX `user_provider_provider_id` ON `users` (`provider`, `provider_id`);
-- Create index "user_role" to table: "users"
CREATE INDEX `user_role` ON `users` (`role`);
-- Create index "user_is_deleted_deleted_at" to table: "users"
CREATE INDEX `user_is_deleted_deleted_at` ON `users` (`is_deleted`, `deleted_at`);
