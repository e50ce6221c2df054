package install

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	atlas "ariga.io/atlas/sql/migrate"
)

// addition is what a schema has beyond another one: statements that make it, and in the order in which they run, those
// that take it away again.
type addition struct {
	up, down []string
}

func (a *addition) add(up, down string) {
	a.up = append(a.up, up)
	if down != "" {
		a.down = slices.Insert(a.down, 0, down)
	}
}

// The heads of the statements that Ent writes.
var (
	createTable   = regexp.MustCompile("^CREATE TABLE `([^`]+)` \\(\n")
	createIndex   = regexp.MustCompile("^CREATE (?:UNIQUE )?INDEX `([^`]+)` ON `([^`]+)`")
	addForeignKey = regexp.MustCompile("^ALTER TABLE `([^`]+)` ADD CONSTRAINT `([^`]+)`")
)

// onlyAdds works out what has to be added to a database of the schema before to make it one of the schema after. Both
// are what Ent writes for db. The statements only add tables, indexes, and columns that a writer need not know of: no
// table is rebuilt, and what a database has that neither schema knows of stays. Another change is an error.
func onlyAdds(db, before, after string) (a addition, err error) {
	tables, others := map[string]string{}, map[string]bool{}
	stmts, err := atlas.Stmts(before)
	if err != nil {
		return a, err
	}
	for _, s := range stmts {
		if m := createTable.FindStringSubmatch(s.Text); m != nil {
			tables[m[1]] = s.Text
		} else {
			others[s.Text] = true
		}
	}
	if stmts, err = atlas.Stmts(after); err != nil {
		return a, err
	}
	made := map[string]bool{}
	for _, s := range stmts {
		if others[s.Text] {
			delete(others, s.Text)
			continue
		}
		text := strings.Join(append(s.Comments, s.Text), "") + "\n"
		if m := createTable.FindStringSubmatch(s.Text); m != nil {
			had, ok := tables[m[1]]
			if delete(tables, m[1]); !ok {
				made[m[1]] = true
				a.add(text, fmt.Sprintf("DROP TABLE `%s`;\n", m[1]))
			} else if err := a.alter(db, m[1], had, s.Text); err != nil {
				return a, err
			}
			continue
		}
		undo := ""
		if m := createIndex.FindStringSubmatch(s.Text); m != nil && !made[m[2]] {
			undo = fmt.Sprintf("DROP INDEX `%s`;\n", m[1])
		} else if f := addForeignKey.FindStringSubmatch(s.Text); f != nil {
			undo = fmt.Sprintf("ALTER TABLE `%s` DROP FOREIGN KEY `%s`;\n", f[1], f[2])
		} else if m == nil {
			return a, fmt.Errorf("the statement %q does more than add", firstLine(s.Text))
		}
		a.add(text, undo)
	}
	for name := range tables {
		return a, fmt.Errorf("the table %s would go", name)
	}
	for text := range others {
		return a, fmt.Errorf("what %q makes would go", firstLine(text))
	}
	return a, nil
}

// alter adds the columns and indexes that a table has beyond what it had. All columns come in one statement where there
// can be one, and before the indexes: MySQL and MariaDB add columns without touching a row then, and build an index
// while others write.
func (a *addition) alter(db, table, before, after string) error {
	had, has := tableLines(before), tableLines(after)
	var columns, drops, indexes, unindexes []string
	for _, line := range has {
		if i := slices.Index(had, line); i >= 0 {
			had = slices.Delete(had, i, i+1)
			continue
		}
		head, rest, _ := strings.Cut(line, "`")
		name, rest, _ := strings.Cut(rest, "`")
		switch head {
		case "":
			if strings.Contains(rest, " NOT NULL") && !strings.Contains(rest, " DEFAULT ") {
				return fmt.Errorf("the new column %s.%s is NOT NULL and has no default", table, name)
			}
			columns, drops = append(columns, "ADD COLUMN "+line), append(drops, "DROP COLUMN `"+name+"`")
		case "INDEX ", "UNIQUE INDEX ":
			indexes = append(indexes, fmt.Sprintf("CREATE %s`%s` ON `%s`%s;\n", head, name, table, rest))
			unindexes = append(unindexes, fmt.Sprintf("DROP INDEX `%s` ON `%s`;\n", name, table))
		default:
			return fmt.Errorf("the table %s would get %q, which is neither a column nor an index", table, line)
		}
	}
	if len(had) > 0 {
		return fmt.Errorf("the table %s would lose or change %q", table, had[0])
	}
	each := [][]string{columns}
	undo := [][]string{drops}
	if db == sqlite {
		each, undo = each[:0], undo[:0]
		for i := range columns {
			each, undo = append(each, columns[i:i+1]), append(undo, drops[i:i+1])
		}
	}
	head := fmt.Sprintf("-- Add columns to \"%s\" table\n", table)
	for i, adds := range each {
		if len(adds) > 0 {
			a.add(head+"ALTER TABLE `"+table+"` "+strings.Join(adds, ", ")+";\n",
				"ALTER TABLE `"+table+"` "+strings.Join(undo[i], ", ")+";\n")
		}
		head = ""
	}
	for i, index := range indexes {
		a.add(fmt.Sprintf("-- Add an index to \"%s\" table\n%s", table, index), unindexes[i])
	}
	return nil
}

// tableLines are the columns, keys and options of a statement that makes a table.
func tableLines(create string) (lines []string) {
	for line := range strings.Lines(create) {
		lines = append(lines, strings.TrimSuffix(strings.TrimSpace(line), ","))
	}
	return lines
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
