package install

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// witnessFile is the file of the hash of a project's journal, named after the folder. It lies outside of the project:
// a module that is cloned or unpacked cannot bring one.
func witnessFile(root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", unchanged(fmt.Errorf("there is no folder for what undoes a run that is killed: %w", err))
	}
	at, err := filepath.Abs(root)
	if err == nil {
		at, err = filepath.EvalSymlinks(at)
	}
	return filepath.Join(cache, "authgraph", "undo", hash([]byte(at))), err
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// witnessed reports whether a run wrote this text of a journal.
func witnessed(witness string, text []byte) bool {
	want, err := os.ReadFile(witness)
	return err == nil && string(want) == hash(text)
}

func (j *Journal) bearWitness(text []byte) error {
	if err := os.MkdirAll(filepath.Dir(j.witness), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(j.witness, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(hash(text))
	return errors.Join(err, file.Sync(), file.Close())
}
