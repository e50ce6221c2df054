-- Code generated from ent/schema by go generate ./ent, DO NOT EDIT.

-- Create "otps" table
CREATE TABLE `otps` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `created_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  `email` varchar(255) NOT NULL,
  `otp_hash_code` varchar(255) NOT NULL COLLATE ascii_bin,
  `next_resend_allowed_at` timestamp(6) NOT NULL,
  `type` enum('signin','email-verification','password-reset','password-change') NOT NULL,
  `expires_at` timestamp(6) NOT NULL,
  `is_used` bool NOT NULL DEFAULT false,
  `used_at` timestamp(6) NULL,
  `attempts` int NOT NULL DEFAULT 0,
  `max_attempts` int NOT NULL DEFAULT 5,
  `ticket_hash` varchar(64) NULL COLLATE ascii_bin,
  `origin_hash` varchar(64) NULL COLLATE ascii_bin,
  `is_known_device` bool NOT NULL DEFAULT false,
  `is_link` bool NOT NULL DEFAULT false,
  `requested_by` bigint NULL,
  `first_step` enum('password','mail','provider','reactivation','email-change') NULL,
  `trust_epoch` int NULL,
  PRIMARY KEY (`id`),
  INDEX `otp_email_type` (`email`, `type`),
  INDEX `otp_ticket_hash` (`ticket_hash`),
  INDEX `otp_email_created_at` (`email`, `created_at`),
  INDEX `otp_origin_hash_created_at` (`origin_hash`, `created_at`),
  INDEX `otp_expires_at` (`expires_at`),
  CONSTRAINT `otps_attempts` CHECK (attempts BETWEEN 0 AND max_attempts)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "otp_stripes" table
CREATE TABLE `otp_stripes` (
  `id` bigint NOT NULL,
  `turn` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "users" table
CREATE TABLE `users` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `created_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  `name` varchar(100) NOT NULL,
  `email` varchar(255) NOT NULL,
  `password` varchar(255) NULL COLLATE ascii_bin,
  `role` enum('user','admin') NOT NULL DEFAULT 'user',
  `provider` enum('local','google','github') NOT NULL DEFAULT 'local',
  `provider_id` varchar(255) NULL,
  `avatar` json NULL,
  `is_email_verified` bool NOT NULL DEFAULT false,
  `last_login_at` timestamp(6) NULL,
  `failed_login_attempts` int NOT NULL DEFAULT 0,
  `lock_until` timestamp(6) NULL,
  `is_deleted` bool NOT NULL DEFAULT false,
  `deleted_at` timestamp(6) NULL,
  `re_activate_available_at` timestamp(6) NULL,
  `suspended_until` datetime(6) NULL,
  `guess_failures` int NOT NULL DEFAULT 0,
  `step_failures` int NOT NULL DEFAULT 0,
  `trust_epoch` int NOT NULL DEFAULT 0,
  `reset_by_mail` bool NOT NULL DEFAULT false,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `email` (`email`),
  UNIQUE INDEX `user_provider_provider_id` (`provider`, `provider_id`),
  INDEX `user_role` (`role`),
  INDEX `user_is_deleted_deleted_at` (`is_deleted`, `deleted_at`),
  CONSTRAINT `users_failed_login_attempts` CHECK (failed_login_attempts >= 0)
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "refresh_tokens" table
CREATE TABLE `refresh_tokens` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `created_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  `token_hash` varchar(255) NOT NULL COLLATE ascii_bin,
  `expires_at` timestamp(6) NOT NULL,
  `is_revoked` bool NOT NULL DEFAULT false,
  `revoked_at` timestamp(6) NULL,
  `replaced_by_token_hash` varchar(255) NULL COLLATE ascii_bin,
  `grace_uses` int NOT NULL DEFAULT 0,
  `family` varchar(32) NULL COLLATE ascii_bin,
  `successor_salt` varchar(64) NULL COLLATE ascii_bin,
  `user_id` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `token_hash` (`token_hash`),
  INDEX `refreshtoken_user_id_is_revoked` (`user_id`, `is_revoked`),
  INDEX `refreshtoken_family_is_revoked` (`family`, `is_revoked`),
  INDEX `refreshtoken_expires_at` (`expires_at`),
  CONSTRAINT `refresh_tokens_users_refresh_tokens` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
-- Create "sessions" table
CREATE TABLE `sessions` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `created_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `updated_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  `token_hash` varchar(255) NOT NULL COLLATE ascii_bin,
  `ip` varchar(45) NULL,
  `user_agent` varchar(255) NULL,
  `is_active` bool NOT NULL DEFAULT true,
  `last_used_at` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  `expires_at` timestamp(6) NOT NULL,
  `family` varchar(32) NULL COLLATE ascii_bin,
  `trust_epoch` int NULL,
  `device_failures` int NOT NULL DEFAULT 0,
  `user_id` bigint NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE INDEX `token_hash` (`token_hash`),
  INDEX `session_user_id_is_active_last_used_at` (`user_id`, `is_active`, `last_used_at`),
  INDEX `session_family` (`family`),
  INDEX `session_expires_at` (`expires_at`),
  CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
) CHARSET utf8mb4 COLLATE utf8mb4_bin;
