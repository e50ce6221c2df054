package adopt

import (
	"regexp"
	"slices"
	"strings"
)

// theirs matches what the owner of a table may have written beside a definition, and which changes nothing for this
// schema: a comment, and of a column that SELECT * leaves it out, and where its engine puts it. A text in quotes is
// matched first, for what it may hold.
var theirs = map[string]*regexp.Regexp{
	isColumn: regexp.MustCompile(` COMMENT ` + literalText + `|(?: /\*!\d+)? INVISIBLE\b(?: \*/)?` +
		`| /\*!\d+ (?:STORAGE|COLUMN_FORMAT) \w+ \*/` +
		`| /\*!\d+ (?:SECONDARY_)?ENGINE_ATTRIBUTE ` + literalText + ` \*/|` + literalText),
	isIndex: regexp.MustCompile(` COMMENT ` + literalText + `|` + literalText + "|`(?:[^`]|``)*`"),
}

const literalText = `'(?:[^'\\]|''|\\.)*'`

// keeping is this wanted table with what the owner wrote beside the definitions of the live one, which a MODIFY COLUMN
// and an index that is made anew would drop otherwise. What this schema says itself counts.
func (t *table) keeping(live *table) *table {
	kept := &table{name: t.name, options: t.options, lines: t.lines, parts: slices.Clone(t.parts)}
	for i, w := range kept.parts {
		l, there := live.find(w.object, w.name)
		if theirs[w.object] == nil || !there || strings.Contains(w.text, " COMMENT ") {
			continue
		}
		var extra string
		plain := theirs[w.object].ReplaceAllStringFunc(l.text, func(text string) string {
			if text[0] != ' ' {
				return text
			}
			extra += text
			return ""
		})
		switch at := strings.Index(w.text, " CHECK ("); {
		case plain == w.text:
			kept.parts[i].text = l.text
		case w.object == isColumn && at >= 0: // which MariaDB reads last
			kept.parts[i].text = w.text[:at] + extra + w.text[at:]
		default:
			kept.parts[i].text += extra
		}
	}
	return kept
}
