package planner

import (
	"regexp"
	"strings"

	"ariga.io/atlas/sql/schema"
)

// Atlas plans for what it can read and print without a loss. These say what that is, of the definitions that a server
// shows: all else is planned with the server's own words.
var (
	plainName = "`[\\pL\\pN_$-]+`"
	plainText = `'(?:[^'"\\?\pC\pZ]| )*'`
	plainNow  = `(?:CURRENT_TIMESTAMP(?:\(\d\))?|current_timestamp\(\d?\))`
	plainType = `(?:tinyint\(1\)|(?:tinyint(?:\(4\))?|smallint(?:\(6\))?|mediumint(?:\(9\))?|int(?:\(11\))?|` +
		`bigint(?:\(20\))?)|(?:tinyint(?:\(3\))?|smallint(?:\(5\))?|mediumint(?:\(8\))?|int(?:\(10\))?|` +
		`bigint(?:\(20\))?) unsigned|(?:double|float)(?: unsigned)?|decimal\(\d+,\d+\)(?: unsigned)?|` +
		`(?:var)?(?:char|binary)\([1-9]\d*\)|(?:tiny|medium|long)?(?:text|blob)|json|date|` +
		`(?:datetime|timestamp|time)(?:\(\d\))?|year(?:\(4\))?|(?:enum|set)\('[\w .:/@+-]+'(?:,'[\w .:/@+-]+')*\))`
	plainList = `\(` + plainName + `(?:\(\d+\))?(?: DESC)?(?:,` + plainName + `(?:\(\d+\))?(?: DESC)?)*\)`
	plainRefs = `\(` + plainName + `(?:, ` + plainName + `)*\)`

	plainParts = map[string]*regexp.Regexp{
		isColumn: regexp.MustCompile(`^` + plainName + ` ` + plainType + `(?: CHARACTER SET \w+)?(?: COLLATE \w+)?` +
			`(?: NOT NULL| NULL)?(?: DEFAULT (?:NULL|` + plainText + `|-?\d+(?:\.\d+)?|` + plainNow + `))?` +
			`(?: ON UPDATE ` + plainNow + `)?(?: AUTO_INCREMENT)?(?: COMMENT ` + plainText + `)?` +
			`(?: CHECK \(json_valid\(` + plainName + `\)\))?$`),
		isIndex: regexp.MustCompile(`^(?:PRIMARY KEY|(?:UNIQUE |FULLTEXT )?KEY ` + plainName + `) ` + plainList +
			`(?: COMMENT ` + plainText + `)?$`),
		isCheck: regexp.MustCompile(`^CONSTRAINT ` + plainName + ` CHECK \([^\\?]*\)$`),
		isKey: regexp.MustCompile(`^CONSTRAINT ` + plainName + ` FOREIGN KEY ` + plainRefs + ` REFERENCES ` +
			plainName + ` ` + plainRefs + `(?: ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL|NO ACTION|RESTRICT))*$`),
		isTable: regexp.MustCompile(`^CREATE TABLE ` + plainName + ` \( ENGINE=\w+(?: DEFAULT CHARSET=\w+)?` +
			`(?: COLLATE=\w+)?(?: COMMENT=` + plainText + `)?$`),
	}

	// Those of SQLite are matched with () in place of what stands in brackets.
	liteParts = map[string]*regexp.Regexp{
		isColumn: regexp.MustCompile(`^[\pL\pN_$]+ (?:bool|boolean|blob|(?:tiny|small|medium|big)?int|integer|real|` +
			`double|float|text|json|jsonb|date|datetime|time|timestamp|uuid|n?(?:var)?char(?: \(\))?)` +
			`(?: not null| null|` +
			` default (?:null|true|false|current_timestamp|'[^'"]*'|-? ?\d+(?: \. \d+)?|\(\))|` +
			` primary key(?: autoincrement)?|(?: constraint [\pL\pN_$]+)? check \(\))*$`),
		isIndex: regexp.MustCompile(`^(?:primary key \(\)|create (?:unique )?index [\pL\pN_$]+ on [\pL\pN_$]+ \(\))$`),
		isCheck: regexp.MustCompile(`^(?:constraint [\pL\pN_$]+ )?check \(\)$`),
		isKey: regexp.MustCompile(`^(?:constraint [\pL\pN_$]+ )?foreign key \(\) references [\pL\pN_$]+ \(\)` +
			`(?: on (?:delete|update) (?:cascade|set null|set default|no action|restrict))*$`),
		isTable: regexp.MustCompile(`^create table [\pL\pN_$]+ \(\)(?: without rowid| strict| ,)*$`),
	}
	// plainColumns are those of a key or an index that Atlas reads.
	plainColumns = regexp.MustCompile(`^[\pL\pN_$]+(?: desc)?(?: , [\pL\pN_$]+(?: desc)?)*$`)
)

// legible reports whether Atlas reads and prints all that a table is.
func legible(t *schema.Table) bool {
	d := definitionOf(t)
	if d == nil {
		return true // there is nothing but what Atlas read
	}
	if !d.plain(part{object: isTable, text: d.head + d.options}) {
		return false
	}
	for _, p := range d.parts {
		if !d.plain(p) {
			return false
		}
	}
	return len(t.Columns) > 0
}

func (d *definition) plain(p part) bool {
	if !d.lite {
		if p.loose {
			return false
		}
		known := plainParts[p.object]
		return known != nil && known.MatchString(p.text)
	}
	known := liteParts[p.object]
	if known == nil || strings.Contains(p.text, "--") || strings.Contains(p.text, "/*") {
		return false // Atlas takes a comment for a part of the definition
	}
	outer, inner := collapse(canonical(p.text, true))
	if p.object == isIndex || p.object == isKey {
		for _, list := range inner {
			if !plainColumns.MatchString(list) {
				return false
			}
		}
	}
	return known.MatchString(outer)
}

// collapse is a text with () in place of what stands in brackets, and what stood there.
func collapse(text string) (outer string, inner []string) {
	var out, in []string
	depth := 0
	for _, w := range tokens(text, true) {
		switch {
		case w == "(" && depth == 0:
			out, in, depth = append(out, "()"), nil, 1
		case w == ")" && depth == 1:
			inner, depth = append(inner, strings.Join(in, " ")), 0
		case depth == 0:
			out = append(out, w)
		default:
			in = append(in, w)
			depth += strings.Count("(", w) - strings.Count(")", w)
		}
	}
	return strings.Join(out, " "), inner
}
