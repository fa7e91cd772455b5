module github.com/flatcar/mantle

go 1.19
