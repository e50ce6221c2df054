-- Code generated from ent/schema by go generate ./ent, DO NOT EDIT.

-- Create "otps" table
CREATE TABLE `otps` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `email` text NOT NULL,
  `otp_hash_code` text NOT NULL,
  `next_resend_allowed_at` datetime NOT NULL,
  `type` text NOT NULL,
  `expires_at` datetime NOT NULL,
  `is_used` bool NOT NULL DEFAULT (false),
  `used_at` datetime NULL,
  `attempts` integer NOT NULL DEFAULT (0),
  `max_attempts` integer NOT NULL DEFAULT (5),
  CONSTRAINT `otps_attempts` CHECK (attempts BETWEEN 0 AND max_attempts)
);
-- Create index "otp_email_type" to table: "otps"
CREATE INDEX `otp_email_type` ON `otps` (`email`, `type`);
-- Create index "otp_expires_at" to table: "otps"
CREATE INDEX `otp_expires_at` ON `otps` (`expires_at`);
-- Create "refresh_tokens" table
CREATE TABLE `refresh_tokens` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `token_hash` text NOT NULL,
  `expires_at` datetime NOT NULL,
  `is_revoked` bool NOT NULL DEFAULT (false),
  `revoked_at` datetime NULL,
  `replaced_by_token_hash` text NULL,
  `grace_uses` integer NOT NULL DEFAULT (0),
  `user_id` integer NOT NULL,
  CONSTRAINT `refresh_tokens_users_refresh_tokens` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
);
-- Create index "refresh_tokens_token_hash_key" to table: "refresh_tokens"
CREATE UNIQUE INDEX `refresh_tokens_token_hash_key` ON `refresh_tokens` (`token_hash`);
-- Create index "refreshtoken_user_id_is_revoked" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_user_id_is_revoked` ON `refresh_tokens` (`user_id`, `is_revoked`);
-- Create index "refreshtoken_expires_at" to table: "refresh_tokens"
CREATE INDEX `refreshtoken_expires_at` ON `refresh_tokens` (`expires_at`);
-- Create "sessions" table
CREATE TABLE `sessions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `token_hash` text NOT NULL,
  `ip` text NULL,
  `user_agent` text NULL,
  `is_active` bool NOT NULL DEFAULT (true),
  `last_used_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `expires_at` datetime NOT NULL,
  `user_id` integer NOT NULL,
  CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
);
-- Create index "sessions_token_hash_key" to table: "sessions"
CREATE UNIQUE INDEX `sessions_token_hash_key` ON `sessions` (`token_hash`);
-- Create index "session_user_id_is_active_expires_at" to table: "sessions"
CREATE INDEX `session_user_id_is_active_expires_at` ON `sessions` (`user_id`, `is_active`, `expires_at`);
-- Create index "session_expires_at" to table: "sessions"
CREATE INDEX `session_expires_at` ON `sessions` (`expires_at`);
-- Create "users" table
CREATE TABLE `users` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `created_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `updated_at` datetime NOT NULL DEFAULT (CURRENT_TIMESTAMP),
  `name` text NOT NULL,
  `email` text NOT NULL,
  `password` text NULL,
  `role` text NOT NULL DEFAULT ('user'),
  `provider` text NOT NULL DEFAULT ('local'),
  `provider_id` text NULL,
  `avatar` json NULL,
  `is_email_verified` bool NOT NULL DEFAULT (false),
  `last_login_at` datetime NULL,
  `failed_login_attempts` integer NOT NULL DEFAULT (0),
  `lock_until` datetime NULL,
  `is_deleted` bool NOT NULL DEFAULT (false),
  `deleted_at` datetime NULL,
  `re_activate_available_at` datetime NULL,
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
