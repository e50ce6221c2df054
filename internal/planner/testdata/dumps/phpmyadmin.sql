-- As phpMyAdmin exports a database: keys and columns that count are added after the rows, in one transaction.
SET SQL_MODE = "NO_AUTO_VALUE_ON_ZERO";
SET AUTOCOMMIT = 0;
START TRANSACTION;
SET time_zone = "+00:00";


/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;

--
-- Database: `shop`
--

DELIMITER $$
--
-- Procedures
--
CREATE DEFINER=CURRENT_USER PROCEDURE `count_orders` ()   BEGIN
  SELECT COUNT(*) FROM orders;
END$$

DELIMITER ;

-- --------------------------------------------------------

CREATE TABLE `items` (
  `id` bigint NOT NULL,
  `order_id` bigint NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

INSERT INTO `items` (`id`, `order_id`) VALUES
(1, 1);

CREATE TABLE `orders` (
  `id` bigint NOT NULL,
  `note` varchar(40) NOT NULL DEFAULT '' COMMENT 'a /*!40101 comment */; not code'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;

INSERT INTO `orders` (`id`, `note`) VALUES
(1, 'it''s');

ALTER TABLE `items`
  ADD PRIMARY KEY (`id`),
  ADD KEY `items_order` (`order_id`);
ALTER TABLE `orders`
  ADD PRIMARY KEY (`id`);

ALTER TABLE `items`
  MODIFY `id` bigint NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=2;
ALTER TABLE `orders`
  MODIFY `id` bigint NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=2;

ALTER TABLE `items`
  ADD CONSTRAINT `items_orders` FOREIGN KEY (`order_id`) REFERENCES `orders` (`id`) ON DELETE CASCADE;
COMMIT;

/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
