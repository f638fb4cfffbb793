//! The one file that the image builder writes and the initramfs init reads.
