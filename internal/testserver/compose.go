package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startCompose starts the product's service of compose.yaml, and stops it again unless it was running already.
func startCompose(ctx context.Context, product *Product, say func(string, ...any)) (*Server, error) {
	if _, err := docker(ctx, 10*time.Second, "info"); err != nil {
		return nil, err
	}
	file, err := composeFile()
	if err != nil {
		return nil, err
	}
	compose := func(limit time.Duration, args ...string) (string, error) {
		return docker(ctx, limit, append([]string{"compose", "--file", file}, args...)...)
	}
	running, err := compose(10*time.Second, "ps", "--status=running", "--quiet", product.name)
	if err != nil {
		return nil, err
	}
	say("starting with docker compose …")
	if _, err := compose(5*time.Minute, "up", "--detach", "--wait", product.name); err != nil {
		return nil, err
	}
	server, err := composeServer(ctx, product, compose)
	stop := func() {
		if running == "" {
			// ctx may be what is ending the run.
			_, err := docker(context.WithoutCancel(ctx), time.Minute, "compose", "--file", file, "rm", "--stop",
				"--force", product.name)
			if err != nil {
				say("docker compose rm: %v", err)
			}
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	server.stop = stop
	return server, nil
}

func composeServer(ctx context.Context, product *Product,
	compose func(time.Duration, ...string) (string, error)) (*Server, error) {
	published, err := compose(10*time.Second, "port", product.name, "3306")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return Use(ctx, product, fmt.Sprintf("%s://root@%s/", product.name, published))
}

func docker(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("docker %s: %w: %s", args[0], err, lastLines(exit.Stderr, 1))
	}
	return strings.TrimSpace(string(out)), err
}

// composeFile is the compose.yaml of the repository that holds the working directory.
func composeFile() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		file := filepath.Join(folder, "compose.yaml")
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
		if folder == filepath.Dir(folder) {
			return "", errors.New("no folder from here upwards has a compose.yaml")
		}
		folder = filepath.Dir(folder)
	}
}
