-- The shape in which Laravel's migrations make its tables of users, sessions, tokens, cache and jobs.
create table `users` (`id` bigint unsigned not null auto_increment primary key, `name` varchar(255) not null, `email` varchar(255) not null,
  `email_verified_at` timestamp null, `password` varchar(255) not null, `remember_token` varchar(100) null, `created_at` timestamp null,
  `updated_at` timestamp null) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
alter table `users` add unique `users_email_unique`(`email`);
create table `sessions` (`id` varchar(255) not null, `user_id` bigint unsigned null, `ip_address` varchar(45) null, `user_agent` text null,
  `payload` longtext not null, `last_activity` int not null, primary key (`id`)) default character set utf8mb4 collate 'utf8mb4_unicode_ci';
alter table `sessions` add index `sessions_user_id_index`(`user_id`);
alter table `sessions` add index `sessions_last_activity_index`(`last_activity`);
create table `personal_access_tokens` (`id` bigint unsigned not null auto_increment primary key, `tokenable_type` varchar(255) not null,
  `tokenable_id` bigint unsigned not null, `name` text not null, `token` varchar(64) not null, `abilities` text null, `expires_at` timestamp null)
  default character set utf8mb4 collate 'utf8mb4_unicode_ci' engine = InnoDB;
alter table `personal_access_tokens` add index `personal_access_tokens_tokenable_type_tokenable_id_index`(`tokenable_type`, `tokenable_id`);
create table `jobs` (`id` bigint unsigned not null auto_increment primary key, `queue` varchar(255) not null, `payload` longtext not null,
  `attempts` tinyint unsigned not null, `reserved_at` int unsigned null, `created_at` int unsigned not null,
  `failed_at` timestamp not null default CURRENT_TIMESTAMP, `kind` enum('one', 'two') not null default 'one', `meta` json null,
  `amount` decimal(8, 2) not null default '0', `ratio` double null, `born` year null, `uuid` char(36) not null, `flag` tinyint(1) not null default '1',
  `note` varchar(255) null comment 'what it''s for') default character set utf8mb4 collate 'utf8mb4_unicode_ci';
alter table `jobs` add fulltext `jobs_note_fulltext`(`note`);
