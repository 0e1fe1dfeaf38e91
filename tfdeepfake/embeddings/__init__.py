"""What a network makes of a data set's faces: `embed.embed` draws its embeddings in space and groups them."""
