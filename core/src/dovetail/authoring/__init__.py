"""What users write with: `@step`, `@pipeline`, and what a step says while it runs. The only row that reaches down to run something."""
