package directory

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"regexp"

	atlas "ariga.io/atlas/sql/migrate"
)

// DownFolder is the folder of a directory that holds the ways back that are written by hand: each is a file of the name
// of the one that it takes back. Atlas reads no folders, so that neither its tools nor apply run them.
const DownFolder = "down"

// Down is what takes a file back, as it was written by hand: the file of its name in [DownFolder], or the section
// down.sql of a file in txtar form. It is nil if there is none.
func Down(dir Dir, f atlas.File) (atlas.File, error) {
	name := path.Join(DownFolder, f.Name())
	text, err := fs.ReadFile(dir, name)
	if err == nil {
		return atlas.NewLocalFile(name, text), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Path: PathOf(dir), Err: err}
	}
	if text := only(f.Bytes(), true); text != nil {
		return atlas.NewLocalFile(f.Name(), text), nil
	}
	return nil, nil
}

var (
	txtar   = regexp.MustCompile(`\A(?:\x{feff})?-- atlas:txtar[ \t\r]*\n`)
	section = regexp.MustCompile(`(?m)^-- (\S+) --[ \t\r]*$`)
)

// downSection is what a file in txtar form calls the statements that take it back.
const downSection = "down.sql"

// only is the text of a file in which the section that takes it back is blank, or all but that section. Positions and
// lines stay the same. It is nil if there is no such section.
func only(text []byte, down bool) []byte {
	if !txtar.Match(text) {
		return nil
	}
	out, found, begin, inDown := bytes.Clone(text), false, 0, false
	blank := func(end int) {
		if inDown != down {
			fill(out[begin:end], ' ')
		}
		found = found || inDown
	}
	for _, m := range section.FindAllSubmatchIndex(text, -1) {
		blank(m[0])
		begin, inDown = m[0], string(text[m[2]:m[3]]) == downSection
	}
	blank(len(text))
	if !found {
		return nil
	}
	return out
}

// Listed is a file of statements that are known one by one.
func Listed(drv atlas.Driver, name string, stmts []string) *File {
	var text []byte
	r := readerOf(drv)
	f := &File{}
	for _, s := range stmts {
		f.Stmts = append(f.Stmts, &atlas.Stmt{Pos: len(text), Text: s})
		code, _ := r.read([]byte(s))
		f.Code = append(f.Code, string(code))
		text = append(append(text, s...), ";\n"...)
	}
	f.File = atlas.NewLocalFile(name, text)
	return f
}
