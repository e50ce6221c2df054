package dbserver

import "strings"

// Quote returns a name as MySQL, MariaDB and SQLite read it in a statement.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// QuoteText returns a text as MySQL and MariaDB read it in a statement. Only what their SHOW CREATE TABLE escapes is
// escaped.
func QuoteText(text string) string { return "'" + textEscapes.Replace(text) + "'" }

var textEscapes = strings.NewReplacer("'", "''", `\`, `\\`, "\x00", `\0`, "\n", `\n`, "\r", `\r`)
