-- What the dumps beside this file lead to, written plainly.
CREATE TABLE `orders` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `note` varchar(40) NOT NULL DEFAULT '' COMMENT 'a /*!40101 comment */; not code',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
CREATE TABLE `items` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `order_id` bigint NOT NULL,
  PRIMARY KEY (`id`),
  KEY `items_order` (`order_id`),
  CONSTRAINT `items_orders` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
