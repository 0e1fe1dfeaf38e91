"""What all pages, images and plots share: colours (`palette`), text (`text`), HTML and its templates (`html`)."""
