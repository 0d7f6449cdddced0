"""The pages of docs/reference/, a module each: from what stands in the code to lines of Markdown."""
