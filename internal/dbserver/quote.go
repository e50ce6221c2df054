package dbserver

import "strings"

// Quote returns a name as MySQL, MariaDB and SQLite read it in a statement.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
