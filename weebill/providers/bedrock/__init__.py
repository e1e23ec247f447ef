"""Amazon Bedrock's Converse, outbound."""
