package directory_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	atlas "ariga.io/atlas/sql/migrate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/internal/atlasdb"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/dirtest"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

// In the texts no server is as late as version 999999.
func TestStatementIsWhatTheServerExecutes(t *testing.T) {
	t.Parallel()
	const mysql, mariadb = atlasdb.FlavourMySQL, atlasdb.FlavourMariaDB
	tests := []struct {
		on, text string   // on is the only server to try; both if empty
		want     []string // the statements, or the code of those for which it is another text after a =>
	}{
		{"", ";;\n ; /* only */ ; -- only\n ; # only\n;", nil},
		{"", "/*!999999 DO 1 */; /*!999999 it's */;\n/*M!999999\\- enable the sandbox mode */ \n-- end", nil},
		{"", "DO 1; -- end", []string{"DO 1;"}},
		{"", "/*!40101 SET NAMES utf8mb4 */;", []string{"/*!40101 SET NAMES utf8mb4 */; => SET NAMES utf8mb4 ;"}},
		{"", "/*! DO 1 */", []string{"/*! DO 1 */ => DO 1"}},
		{"", "-- about\n/* it */ /*!50003 CREATE*/ /*!50017 DEFINER=a*/ /*!50003 TRIGGER t */;", []string{
			"/*!50003 CREATE*/ /*!50017 DEFINER=a*/ /*!50003 TRIGGER t */; => CREATE DEFINER=a TRIGGER t ;",
		}},
		{"", "/*!50003 DO '*/; it''s', (\";\") -- it's; so\n , /* ; */ 2 */;DO 2;", []string{
			"/*!50003 DO '*/; it''s', (\";\") -- it's; so\n , /* ; */ 2 */; => DO ' '' ', (\";\") , 2 ;", "DO 2;",
		}},
		{mysql, "/*M!100100 DO 1 */; /*!100100 DO 2 */; /*!80000 DO 3 */;", []string{"/*!80000 DO 3 */; => DO 3 ;"}},
		{mariadb, "/*M!100100 DO 1 */; /*!100100 DO 2 */; /*!80000 DO 3 */;", []string{
			"/*M!100100 DO 1 */; => DO 1 ;", "/*!100100 DO 2 */; => DO 2 ;",
		}},
		{"", "DELIMITER ;;\r\nDO 1 ;;\r\n/*!50003 DO 2; */ ;;\r\n;;\r\nDELIMITER ;\r\nDO 3;\r\n", []string{
			"DO 1", "/*!50003 DO 2; */ => DO 2;", "DO 3;",
		}},
	}
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		db := dirtest.Scratch(t, url).DB()
		for _, test := range tests {
			if test.on != "" && test.on != db.Flavour() {
				continue
			}
			file, err := directory.Split(db.Driver, atlas.NewLocalFile("1_a.sql", []byte(test.text)))
			require.NoError(t, err, test.text)
			var got []string
			for i, s := range file.Stmts {
				text := s.Text
				assert.Equal(t, text, test.text[s.Pos:s.Pos+len(text)])
				if code := strings.Join(strings.Fields(file.Code[i]), " "); code != text {
					text += " => " + code
				}
				got = append(got, text)
			}
			assert.Equal(t, test.want, got, test.text)
		}
	})
}

// The hashes of a half-applied file are those of the Atlas CLI, which may have begun it.
func TestFilesWithoutConditionalCommentsAreSplitAsAtlasDoes(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../migrate/*.sql")
	require.NoError(t, err)
	texts := []string{"-- about\nCREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) */;\n\nDO 1;",
		"-- atlas:delimiter \\n\\n\n\nDO 1;\n\nDO 2", "CREATE PROCEDURE p() BEGIN DO 1; DO ';'; END; DO 2;"}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	mysqltest.EachServer(t, func(t *testing.T, url string) {
		drv := dirtest.Scratch(t, url).DB().Driver
		for _, text := range texts {
			f := atlas.NewLocalFile("1_a.sql", []byte(text))
			want, err := atlas.FileStmts(drv, f)
			require.NoError(t, err)
			file, err := directory.Split(drv, f)
			require.NoError(t, err)
			var got []string
			for _, s := range file.Stmts {
				got = append(got, s.Text)
			}
			assert.Equal(t, want, got)
		}
	})
}
