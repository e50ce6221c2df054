CREATE TABLE `users` (
	`id` int AUTO_INCREMENT NOT NULL,
	`name` varchar(100) NOT NULL,
	`email` varchar(255) NOT NULL,
	`password` varchar(255),
	`role` enum('user','admin') NOT NULL DEFAULT 'user',
	`provider` enum('local','google','github') NOT NULL DEFAULT 'local',
	`provider_id` varchar(255),
	`avatar` json,
	`is_email_verified` boolean NOT NULL DEFAULT false,
	`last_login_at` timestamp,
	`failed_login_attempts` int NOT NULL DEFAULT 0,
	`lock_until` timestamp,
	`is_deleted` boolean NOT NULL DEFAULT false,
	`deleted_at` timestamp,
	`re_activate_available_at` timestamp,
	`created_at` timestamp NOT NULL DEFAULT (now()),
	`updated_at` timestamp NOT NULL DEFAULT (now()) ON UPDATE CURRENT_TIMESTAMP,
	CONSTRAINT `users_id` PRIMARY KEY(`id`),
	CONSTRAINT `users_email_unique` UNIQUE(`email`),
	CONSTRAINT `email_idx` UNIQUE(`email`)
);
--> statement-breakpoint
CREATE TABLE `refresh_tokens` (
	`id` int AUTO_INCREMENT NOT NULL,
	`user_id` int NOT NULL,
	`token_hash` text NOT NULL,
	`expires_at` timestamp NOT NULL,
	`is_revoked` boolean NOT NULL DEFAULT false,
	`revoked_at` timestamp,
	`replaced_by_token_hash` varchar(255),
	`created_at` timestamp NOT NULL DEFAULT (now()),
	`updated_at` timestamp NOT NULL DEFAULT (now()) ON UPDATE CURRENT_TIMESTAMP,
	CONSTRAINT `refresh_tokens_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE `otps` (
	`id` int AUTO_INCREMENT NOT NULL,
	`email` varchar(255) NOT NULL,
	`otp_hash_code` varchar(255) NOT NULL,
	`next_resend_allowed_at` timestamp NOT NULL,
	`type` enum('signin','email-verification','password-reset','password-change') NOT NULL,
	`expires_at` timestamp NOT NULL,
	`is_used` boolean NOT NULL DEFAULT false,
	`used_at` timestamp,
	`attempts` int NOT NULL DEFAULT 0,
	`max_attempts` int NOT NULL DEFAULT 5,
	`created_at` timestamp NOT NULL DEFAULT (now()),
	`updated_at` timestamp NOT NULL DEFAULT (now()) ON UPDATE CURRENT_TIMESTAMP,
	CONSTRAINT `otps_id` PRIMARY KEY(`id`)
);
--> statement-breakpoint
CREATE TABLE `sessions` (
	`id` int AUTO_INCREMENT NOT NULL,
	`user_id` int NOT NULL,
	`token_hash` varchar(255) NOT NULL,
	`ip` varchar(45),
	`user_agent` varchar(255),
	`is_active` boolean NOT NULL DEFAULT true,
	`last_used_at` timestamp NOT NULL DEFAULT (now()),
	`expires_at` timestamp NOT NULL,
	`created_at` timestamp NOT NULL DEFAULT (now()),
	`updated_at` timestamp NOT NULL DEFAULT (now()) ON UPDATE CURRENT_TIMESTAMP,
	CONSTRAINT `sessions_id` PRIMARY KEY(`id`),
	CONSTRAINT `sessions_token_hash_unique` UNIQUE(`token_hash`)
);
--> statement-breakpoint
ALTER TABLE `refresh_tokens` ADD CONSTRAINT `refresh_tokens_user_id_users_id_fk` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE `sessions` ADD CONSTRAINT `sessions_user_id_users_id_fk` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX `role_idx` ON `users` (`role`);--> statement-breakpoint
CREATE INDEX `is_deleted_idx` ON `users` (`is_deleted`);--> statement-breakpoint
CREATE INDEX `user_id_idx` ON `refresh_tokens` (`user_id`);--> statement-breakpoint
CREATE INDEX `token_hash_idx` ON `refresh_tokens` (`token_hash`);--> statement-breakpoint
CREATE INDEX `is_revoked_idx` ON `refresh_tokens` (`is_revoked`);--> statement-breakpoint
CREATE INDEX `expires_at_idx` ON `refresh_tokens` (`expires_at`);--> statement-breakpoint
CREATE INDEX `email_type_idx` ON `otps` (`email`,`type`);--> statement-breakpoint
CREATE INDEX `expires_at_idx` ON `otps` (`expires_at`);--> statement-breakpoint
CREATE INDEX `is_used_idx` ON `otps` (`is_used`);--> statement-breakpoint
CREATE INDEX `userId_idx` ON `sessions` (`user_id`);--> statement-breakpoint
CREATE INDEX `tokenHash_idx` ON `sessions` (`token_hash`);--> statement-breakpoint
CREATE INDEX `isActive_idx` ON `sessions` (`is_active`);