-- The shape in which drizzle-kit makes tables: named primary keys, now() in brackets, keys added afterwards.
CREATE TABLE `users` (
	`id` int AUTO_INCREMENT NOT NULL,
	`name` varchar(100) NOT NULL,
	`email` varchar(255) NOT NULL,
	`role` enum('user','admin') NOT NULL DEFAULT 'user',
	`avatar` json DEFAULT '{}',
	`is_active` boolean NOT NULL DEFAULT true,
	`score` double DEFAULT 0.5,
	`views` bigint unsigned DEFAULT 0,
	`created_at` timestamp NOT NULL DEFAULT (now()),
	`updated_at` timestamp NOT NULL DEFAULT (now()) ON UPDATE CURRENT_TIMESTAMP,
	CONSTRAINT `users_id` PRIMARY KEY(`id`),
	CONSTRAINT `users_email_unique` UNIQUE(`email`)
);
CREATE TABLE `sessions` (
	`id` bigint unsigned AUTO_INCREMENT NOT NULL,
	`user_id` int NOT NULL,
	`ip` varchar(45),
	`user_agent` text,
	`last_used_at` timestamp(3) DEFAULT (now(3)),
	`seen` datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
	`price` decimal(10,2) DEFAULT '9.99',
	`upper_ip` varchar(45) GENERATED ALWAYS AS (upper(`ip`)) VIRTUAL,
	CONSTRAINT `sessions_id` PRIMARY KEY(`id`),
	CONSTRAINT `price_check` CHECK(`price` > 0)
);
ALTER TABLE `sessions` ADD CONSTRAINT `sessions_user_id_users_id_fk` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE cascade ON UPDATE no action;
CREATE INDEX `user_idx` ON `sessions` (`user_id`,`last_used_at`);
